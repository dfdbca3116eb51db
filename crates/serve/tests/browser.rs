//! The chat page in a real Chromium: an image, two answers, false words, a preference, and axe-core on all of it.

#[path = "serving/site.rs"]
#[allow(dead_code)] // The other half of it is for tests without a browser.
mod site;

use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use candor_data::formats::preference_log;
use candor_data::{Side, Verdict};
use candor_serve::Models;
use candor_testing::images::paint;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use self::site::{Site, adapter, bundle, settings};

/// The version that `scripts/test-programs` keeps in the cache.
const AXE: &str = "candor/axe-core-4.14.1/axe.min.js";
/// Times 30 ms: nothing takes this long unless it is broken.
const PATIENCE: usize = 2000;

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
    let script = std::fs::read_to_string(cache.join(AXE)).ok();
    if script.is_none() {
        say_skipped("the accessibility of the chat page, because axe-core is not in the cache");
    }
    script
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
        .unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let port = output.lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    (Chromedriver(process), port.unwrap())
}

struct Page(WebDriver);

impl Page {
    /// What a script returns.
    async fn js(&self, script: &str) -> Value {
        self.0
            .execute(script, Vec::new())
            .await
            .unwrap()
            .json()
            .clone()
    }

    /// Waits until a condition of the page holds.
    async fn until(&self, condition: &str) {
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
        self.0
            .find(By::Css(css))
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    async fn click(&self, css: &str) {
        let element = self.find(css).await;
        let argument = element.to_json().unwrap();
        let centre = "arguments[0].scrollIntoView({ block: 'center' })";
        self.0.execute(centre, vec![argument]).await.unwrap();
        element
            .click()
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    async fn cdp(&self, method: &str, parameters: Value) {
        self.0.cdp().send_raw(method, parameters).await.unwrap();
    }

    /// Fails with every violation that axe finds: in light and dark, on a desk and on a phone; and where a phone would have
    /// to scroll sideways.
    async fn check(&self, axe: &str, what: &str) {
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
            let found = self.0.execute_async(run, Vec::new()).await.unwrap();
            let found = found.json();
            assert_eq!(
                found["violations"],
                json!([]),
                "{what}, {scheme}, {width} wide"
            );
            assert!(found["n"].as_u64().unwrap() > 5, "axe looked at {what}");
            let wide = self.js("return document.documentElement.scrollWidth").await;
            assert!(
                wide.as_u64().unwrap() <= width,
                "{what} is {wide} wide in a window of {width}"
            );
        }
        self.cdp("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
    }
}

#[test]
fn two_answers_are_compared_on_the_page_and_kept() {
    // The driver's client wants it chosen, although it never leaves this machine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let browser = program(&["chromium", "chromium-browser", "google-chrome"]);
    let Some((browser, driver)) = browser.zip(program(&["chromedriver"])) else {
        say_skipped("the chat page, because Chromium and chromedriver are not both installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("red.png");
    paint(&image, [60, 40], [200, 30, 30]);
    adapter(&bundle(), 1)
        .save(&folder.path().join("a"))
        .unwrap();
    let models = Models::new("tiny", bundle());
    let models = models
        .with_adapter("other", &folder.path().join("a"))
        .unwrap();
    let mut settings = settings();
    settings.preferences = Some(folder.path().join("kept"));
    let site = Site::of(models, settings);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (chromedriver, port) = start(&driver);
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(&browser).unwrap();
        let profile = format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        );
        // The sandbox needs rights that containers and root do not have; the pages are the test's own.
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            &profile,
        ] {
            wanted.add_arg(argument).unwrap();
        }
        let address = format!("http://127.0.0.1:{port}");
        let page = Page(WebDriver::new(address, wanted).await.unwrap());
        let tried = AssertUnwindSafe(compare(&page, &site, &image))
            .catch_unwind()
            .await;
        page.0.quit().await.ok();
        drop(chromedriver);
        if let Err(panic) = tried {
            resume_unwind(panic);
        }
    });

    let rows = preference_log::read(&folder.path().join("kept/preferences.jsonl")).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].turns[0].value, "<image>\nWhat is in the picture?");
    assert_eq!(rows[0].fewer_hallucinations, Verdict::Tie);
    assert_eq!(rows[0].more_helpful, Some(Side::Second));
    let first_two: Vec<&str> = rows[0].outputs[0].split_whitespace().take(2).collect();
    let told = rows[0].explanation.as_deref().unwrap();
    assert!(
        told.starts_with("False in the first answer: “") && told.contains(first_two[0]),
        "{told}"
    );
    let name = rows[0].image.as_deref().unwrap();
    let kept = folder.path().join("kept/images").join(name);
    assert_eq!(std::fs::read(kept).unwrap(), std::fs::read(&image).unwrap());
}

/// What a person does on the page.
async fn compare(page: &Page, site: &Site, image: &std::path::Path) {
    let axe = axe();
    page.0
        .goto(format!("http://{}/", site.address))
        .await
        .unwrap();
    page.until("document.querySelector('#first-model option')")
        .await;
    page.until("document.querySelector('#second-name').textContent === 'other'")
        .await;
    if let Some(axe) = &axe {
        page.check(axe, "the empty page").await;
    }
    page.find("#file")
        .await
        .send_keys(image.to_str().unwrap())
        .await
        .unwrap();
    page.until("!document.querySelector('#shown').hidden").await;
    page.js("document.querySelector('#length').value = 40")
        .await;
    page.find("#question")
        .await
        .send_keys("What is in the picture?\u{e007}")
        .await
        .unwrap();
    page.until("document.querySelector('#notice').textContent === 'Answered.'")
        .await;
    // What the page shows is what the model says.
    let shown = page
        .js("return [...document.querySelectorAll('.words:not(label)')].map((w) => w.textContent)")
        .await;
    for (text, model) in shown.as_array().unwrap().iter().zip(["tiny", "other"]) {
        let content = json!([
            {"type": "image_url", "image_url": {"url": site::data_url(image)}},
            {"type": "text", "text": "What is in the picture?"},
        ]);
        let body = site::question(&json!({
            "model": model, "max_tokens": 40, "messages": [{"role": "user", "content": content}],
        }));
        assert_eq!(*text, site::texts(&site.chat(&body).json())[0], "{model}");
    }
    page.click("#first-log .turn button").await;
    page.until("document.querySelector('#first-log .mark') === document.activeElement")
        .await;
    // With the keyboard, and with the mouse.
    page.find("#first-log .mark")
        .await
        .send_keys(" ")
        .await
        .unwrap();
    page.until("document.querySelectorAll('.mark[aria-pressed=true]').length === 1")
        .await;
    if let Some(axe) = &axe {
        page.check(axe, "two answers").await;
    }
    if let Some(path) = std::env::var_os("CHAT_PAGE_PNG") {
        page.0
            .screenshot(std::path::Path::new(&path))
            .await
            .unwrap();
    }
    page.click("#preference input[name=fewer][value=tie]").await;
    page.click("#preference button").await;
    page.until("document.querySelector('#notice').textContent.includes('more helpful')")
        .await;
    page.click("#preference input[name=helpful][value=second]")
        .await;
    page.click("#preference button").await;
    page.until("document.querySelector('#notice').textContent === 'Saved.'")
        .await;
    page.until("document.querySelector('#preference').hidden")
        .await;
    // What looks like markup is only text.
    let markup = "<b>Is it</b> moving?<img src=x onerror=\"document.title='taken'\">";
    page.find("#question")
        .await
        .send_keys(format!("{markup}\u{e007}"))
        .await
        .unwrap();
    page.until("document.querySelector('#notice').textContent === 'Answered.'")
        .await;
    let shown = page
        .js("return [document.querySelectorAll('.log b, .log img[onerror]').length, document.title === 'taken',
                document.querySelector('#first-log').textContent]")
        .await;
    assert_eq!((&shown[0], &shown[1]), (&json!(0), &json!(false)));
    assert!(shown[2].as_str().unwrap().contains(markup), "{shown}");
}
