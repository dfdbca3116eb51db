//! A browser's window, and what a person does in it.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::site::{Rules, Site};

/// Names of the programs, as Debian and others have them.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Nothing takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

pub const ENTER: &str = "\u{e007}";
pub const TAB: &str = "\u{e004}";
pub const ESCAPE: &str = "\u{e00c}";
pub const DOWN: &str = "\u{e015}";
pub const SHIFT: char = '\u{e008}';
pub const CONTROL: char = '\u{e009}';
pub const DELETE: &str = "\u{e017}";
pub const BACKSPACE: &str = "\u{e003}";
pub const SPACE: &str = " ";

/// Runs a test in a browser before a new site. Without a browser it does nothing, which is said once.
pub fn visit(rules: Rules, test: impl AsyncFnOnce(&Site, &Page)) {
    static PROGRAMS: OnceLock<Option<[String; 2]>> = OnceLock::new();
    let Some([browser, driver]) = PROGRAMS.get_or_init(programs) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let site = Site::open(rules).await;
        let page = Page::open(&site.url, site.folder(), browser, driver).await;
        let outcome = AssertUnwindSafe(test(&site, &page)).catch_unwind().await;
        page.close().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    });
}

/// The browser and its driver, or a word on what is missing.
fn programs() -> Option<[String; 2]> {
    // The driver's client wants it chosen, although it never leaves this machine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let browser = BROWSERS.iter().find_map(|name| program(name));
    let found = browser
        .zip(program("chromedriver"))
        .map(<[String; 2]>::from);
    if found.is_none() {
        say_skipped(
            "all tests in the browser, because Chromium and chromedriver are not both installed",
        );
    }
    found
}

/// Says that something is skipped, past the test harness, which keeps what a passing test prints to itself.
pub fn say_skipped(what: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "skipped: {what} (scripts/test-programs installs it)"
    );
}

fn program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())?;
    Some(found.to_string_lossy().into_owned())
}

/// The program between the test and the browser, which ends with its owner.
struct Chromedriver {
    process: Child,
    port: u16,
}

impl Chromedriver {
    fn start(program: &str) -> Self {
        let mut process = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            line.split_once("successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        });
        Self {
            port: port.expect("chromedriver says its port"),
            process,
        }
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

pub struct Page {
    driver: WebDriver,
    chromedriver: Chromedriver,
    site: String,
}

impl Page {
    async fn open(site: &str, folder: &Path, browser: &str, driver: &str) -> Self {
        let chromedriver = Chromedriver::start(driver);
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(browser).expect("a browser");
        // The sandbox needs rights that containers and root do not have; the pages are the test's own.
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ] {
            wanted.add_arg(argument).expect("an argument");
        }
        wanted
            .add_arg(&format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .expect("a folder");
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", chromedriver.port), wanted)
            .await
            .expect("a session");
        Self {
            driver,
            chromedriver,
            site: site.to_owned(),
        }
    }

    async fn close(self) {
        // The browser may be gone already; the driver ends in any case.
        self.driver.quit().await.ok();
        drop(self.chromedriver);
    }

    /// Goes to a path of the site.
    pub async fn go(&self, path: &str) {
        self.driver
            .goto(format!("{}{path}", self.site))
            .await
            .expect("a page");
    }

    /// Logs somebody in without the form, and goes to a path.
    pub async fn go_as(&self, site: &Site, person: &str, path: &str) {
        let secret = site
            .store
            .start_session(person.to_owned())
            .await
            .expect("a session");
        self.go("/healthz").await;
        self.add_session(&secret).await;
        self.go(path).await;
    }

    /// Gives the browser a session's cookie.
    pub async fn add_session(&self, secret: &str) {
        self.driver
            .add_cookie(Cookie::new("candor", secret))
            .await
            .expect("a cookie");
    }

    /// Takes the browser's cookies away.
    pub async fn forget_cookies(&self) {
        self.driver.delete_all_cookies().await.expect("no cookies");
    }

    /// The path of the address.
    pub async fn path(&self) -> String {
        self.driver
            .current_url()
            .await
            .expect("an address")
            .path()
            .to_owned()
    }

    /// Presses keys one after the other, wherever the focus is.
    pub async fn press(&self, keys: &[&str]) {
        for key in keys {
            self.driver
                .action_chain()
                .send_keys(*key)
                .perform()
                .await
                .expect("a key");
        }
    }

    /// Presses a key while another is held.
    pub async fn press_with(&self, held: char, key: &str) {
        self.driver
            .action_chain()
            .key_down(held)
            .send_keys(key)
            .key_up(held)
            .perform()
            .await
            .expect("two keys");
    }

    /// The element, once it is there and seen.
    pub async fn see(&self, css: &str) -> WebElement {
        self.until(css, async || {
            let element = self.driver.find(By::Css(css)).await.ok()?;
            element.is_displayed().await.ok()?.then_some(element)
        })
        .await
    }

    /// Waits until an element is gone or not seen.
    pub async fn unsee(&self, css: &str) {
        self.until(css, async || {
            let element = self.driver.find(By::Css(css)).await;
            let is_seen = match element {
                Ok(element) => element.is_displayed().await.unwrap_or(false),
                Err(_) => false,
            };
            (!is_seen).then_some(())
        })
        .await;
    }

    /// Clicks an element with the mouse, in the middle of the window, where nothing that sticks to its edges is above it.
    pub async fn click(&self, css: &str) {
        let element = self.see(css).await;
        let centre = "arguments[0].scrollIntoView({ block: 'center' })";
        let argument = element.to_json().expect("an element");
        self.driver
            .execute(centre, vec![argument])
            .await
            .expect("a scroll");
        element
            .click()
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Types into a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.see(css).await;
        field.clear().await.expect("an empty field");
        field.send_keys(text).await.expect("a text");
    }

    /// The text of an element, once it is seen.
    pub async fn text(&self, css: &str) -> String {
        self.see(css).await.text().await.expect("its text")
    }

    /// Waits until an element says something that contains `words`.
    pub async fn read(&self, css: &str, words: &str) {
        self.until(&format!("{css} with {words:?}"), async || {
            let said = self
                .js(&format!(
                    "return document.querySelector({})?.textContent ?? ''",
                    json!(css)
                ))
                .await;
            said.as_str()?.contains(words).then_some(())
        })
        .await;
    }

    /// What a script returns.
    pub async fn js(&self, script: &str) -> Value {
        self.driver
            .execute(script, Vec::new())
            .await
            .expect("a script")
            .json()
            .clone()
    }

    /// What a script gives to its callback.
    pub async fn js_async(&self, script: &str) -> Value {
        self.driver
            .execute_async(script, Vec::new())
            .await
            .expect("a script")
            .json()
            .clone()
    }

    /// Waits until `check` finds something.
    pub async fn until<T>(&self, what: impl Debug, check: impl AsyncFn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = check().await {
                return found;
            }
            if start.elapsed() > PATIENCE {
                let text = self.js("return document.body.innerText").await;
                panic!("waited in vain for {what:?}; the page says: {text}");
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Cuts the connection of the browser, or joins it again.
    pub async fn offline(&self, offline: bool) {
        self.cdp("Network.enable", json!({})).await;
        let conditions = json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.cdp("Network.emulateNetworkConditions", conditions)
            .await;
    }

    /// Prefers light or dark colours.
    pub async fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        // Without transitions the new colours are there at once.
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// Looks through a window of this size.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700});
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Puts downloads into a folder.
    pub async fn download_into(&self, folder: &Path) {
        let behaviour = json!({"behavior": "allow", "downloadPath": folder});
        self.cdp("Browser.setDownloadBehavior", behaviour).await;
    }

    /// Drags the mouse across characters of a text, from `start` to `end` (in UTF-16 units of its first text node).
    pub async fn drag_across(&self, css: &str, start: usize, end: usize) {
        let script = format!(
            "const text = document.querySelector({}).firstElementChild.firstChild;
             return [{start}, {end}].map((at) => {{
               const range = document.createRange();
               range.setStart(text, at);
               range.setEnd(text, at);
               const {{ left, top, height }} = range.getBoundingClientRect();
               return [Math.round(left), Math.round(top + height / 2)];
             }});",
            json!(css)
        );
        let ends: [[i64; 2]; 2] =
            serde_json::from_value(self.js(&script).await).expect("two points");
        let [from, to] = ends;
        self.driver
            .action_chain()
            .move_to(from[0], from[1])
            .click_and_hold()
            .move_to(to[0], to[1])
            .release()
            .perform()
            .await
            .expect("a drag");
    }

    /// Drags one element to another, `dx` pixels beside its middle.
    pub async fn drag(&self, from: &str, to: &str, dx: i64) {
        let (from, to) = (self.see(from).await, self.see(to).await);
        self.driver
            .action_chain()
            .click_and_hold_element(&from)
            .move_to_element_with_offset(&to, dx, 0)
            .release()
            .perform()
            .await
            .expect("a drag");
    }

    async fn cdp(&self, method: &str, parameters: Value) {
        self.driver
            .cdp()
            .send_raw(method, parameters)
            .await
            .unwrap_or_else(|error| panic!("{method}: {error}"));
    }
}
