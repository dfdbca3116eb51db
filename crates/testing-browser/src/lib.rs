//! A real Chromium, driven by chromedriver over plain HTTP, and axe-core, for tests alone. What is not installed is said and skipped.
//!
//! It is apart from `candor-testing`, so that other tests do not wait for the driver's client to be compiled.

use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use thirtyfour::prelude::*;

/// The version that `scripts/test-programs` keeps in the cache.
const AXE: &str = "candor/axe-core-4.14.1/axe.min.js";
/// Times 30 ms: nothing takes this long unless it is broken.
const PATIENCE: usize = 2000;

/// The key that sends a form.
pub const ENTER: &str = "\u{e007}";

/// Runs a test of `what` in a browser that keeps its profile in `folder`. Without a browser it only says so.
///
/// # Panics
/// The test does, or the browser does not start.
pub fn visit(what: &str, folder: &Path, test: impl AsyncFnOnce(&Page)) {
    // The driver's client wants it chosen, although it never leaves this machine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let browser = program(&["chromium", "chromium-browser", "google-chrome"]);
    let Some((browser, driver)) = browser.zip(program(&["chromedriver"])) else {
        say_skipped(&format!(
            "{what}, because Chromium and chromedriver are not both installed"
        ));
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (chromedriver, port) = start(&driver);
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(&browser).expect("a browser");
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        // The sandbox needs rights that containers and root do not have; the pages are the test's own.
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            &profile,
        ] {
            wanted.add_arg(argument).expect("an argument");
        }
        let address = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(address, wanted).await.expect("a session");
        let axe = axe();
        if axe.is_none() {
            say_skipped(&format!(
                "the accessibility of {what}, because axe-core is not in the cache"
            ));
        }
        let page = Page { driver, axe };
        let tried = AssertUnwindSafe(test(&page)).catch_unwind().await;
        // The browser may be gone already; the driver ends in any case.
        page.driver.quit().await.ok();
        drop(chromedriver);
        if let Err(panic) = tried {
            resume_unwind(panic);
        }
    });
}

/// Says that something is skipped, past the test harness, which keeps what a passing test prints to itself.
fn say_skipped(what: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "skipped: {what} (scripts/test-programs installs it)"
    );
}

fn program(names: &[&str]) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = files.into_iter().find(|file| file.is_file())?;
    Some(found.to_string_lossy().into_owned())
}

/// axe-core's script, where it has been fetched.
fn axe() -> Option<String> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    std::fs::read_to_string(cache.join(AXE)).ok()
}

/// The program between the test and the browser, which ends with its owner.
struct Chromedriver(Child);

impl Drop for Chromedriver {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn start(program: &str) -> (Chromedriver, u16) {
    let mut process = Command::new(program)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts");
    let output = BufReader::new(process.stdout.take().expect("its output"));
    let port = output.lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    (
        Chromedriver(process),
        port.expect("chromedriver says its port"),
    )
}

/// A browser's window.
pub struct Page {
    driver: WebDriver,
    axe: Option<String>,
}

impl Page {
    /// Goes to an address.
    ///
    /// # Panics
    /// There is no page.
    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.expect("a page");
    }

    /// What a script returns.
    ///
    /// # Panics
    /// It throws.
    pub async fn js(&self, script: &str) -> Value {
        let returned = self.driver.execute(script, Vec::new()).await;
        returned.expect("a script").json().clone()
    }

    /// Waits until a condition of the page holds.
    ///
    /// # Panics
    /// It does not for a minute.
    pub async fn until(&self, condition: &str) {
        for _ in 0..PATIENCE {
            if self.js(&format!("return Boolean({condition})")).await == json!(true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let text = self.js("return document.body.innerText").await;
        panic!("waited in vain for {condition}; the page says: {text}");
    }

    async fn find(&self, css: &str) -> WebElement {
        self.driver
            .find(By::Css(css))
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// Types into an element.
    ///
    /// # Panics
    /// It is not there, or takes no keys.
    pub async fn type_into(&self, css: &str, keys: &str) {
        self.find(css).await.send_keys(keys).await.expect("keys");
    }

    /// Clicks an element in the middle of the window.
    ///
    /// # Panics
    /// It is not there, or something is above it.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        let argument = element.to_json().expect("an element");
        let centre = "arguments[0].scrollIntoView({ block: 'center' })";
        self.driver
            .execute(centre, vec![argument])
            .await
            .expect("a scroll");
        element
            .click()
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Writes what is seen into a PNG.
    ///
    /// # Panics
    /// The file cannot be written.
    pub async fn screenshot(&self, path: &Path) {
        self.driver.screenshot(path).await.expect("a screenshot");
    }

    async fn cdp(&self, method: &str, parameters: Value) {
        self.driver
            .cdp()
            .send_raw(method, parameters)
            .await
            .unwrap_or_else(|error| panic!("{method}: {error}"));
    }

    /// Fails with every violation that axe finds: in light and dark, on a desk and on a phone; and where a phone would have
    /// to scroll sideways. Without axe-core it does nothing.
    ///
    /// # Panics
    /// There is a violation.
    pub async fn check(&self, what: &str) {
        let Some(axe) = &self.axe else {
            return;
        };
        for (scheme, width) in [
            ("light", 1280),
            ("dark", 1280),
            ("light", 360),
            ("dark", 360),
        ] {
            let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700});
            self.cdp("Emulation.setDeviceMetricsOverride", size).await;
            let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.cdp("Emulation.setEmulatedMedia", features).await;
            self.js(&format!("if (!window.axe) {{ {axe} }}")).await;
            let run = "const done = arguments[arguments.length - 1];
                axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => done({
                  violations: violations.map(({ id, nodes }) =>
                    `${id}: ${nodes.map(({ html, failureSummary }) => html + failureSummary).join(' | ')}`),
                  n: passes.length,
                })).catch((error) => done({ violations: [String(error)], n: 0 }));";
            let found = self.driver.execute_async(run, Vec::new()).await;
            let found = found.expect("axe runs").json().clone();
            assert_eq!(
                found["violations"],
                json!([]),
                "{what}, {scheme}, {width} wide"
            );
            let n_passes = found["n"].as_u64().unwrap_or_default();
            assert!(n_passes > 5, "axe looked at {what}");
            let wide = self.js("return document.documentElement.scrollWidth").await;
            assert!(
                wide.as_u64().is_some_and(|wide| wide <= width),
                "{what} is {wide} wide in a window of {width}"
            );
        }
        self.cdp("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
    }
}
