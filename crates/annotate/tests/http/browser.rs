//! A browser without a page: requests with the headers and the cookie of one, answered by the router itself.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use candor_annotate::clock::ManualClock;
use candor_annotate::project::{Kind, Project};
use candor_annotate::server::{App, deliver, projects_router, router};
use candor_annotate::store::{Known, NewItem, Role, Store};
use candor_annotate::task::Expected;
use candor_data::Turn;
use serde_json::Value;
use tower::ServiceExt as _;

pub const PUBLIC_URL: &str = "https://annotate.example";

/// A running app.
pub struct Site {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    app: Arc<App>,
    router: Router,
    folder: tempfile::TempDir,
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .expect("a code")
            .to_owned()
    }
}

/// A 1 × 1 image.
const PNG: &[u8] = include_bytes!("../../../data/tests/golden/images/one_pixel.png");

impl Site {
    /// A site with three items of work, one of gold, and an image.
    pub async fn open() -> Self {
        Self::open_with("").await
    }

    /// The same with more tables in its project file.
    pub async fn open_with(more: &str) -> Self {
        Self::open_at("", more).await
    }

    /// The same with more lines in its `[server]`, too.
    pub async fn open_at(server: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("images")).expect("a folder of images");
        std::fs::write(folder.path().join("images/a.png"), PNG).expect("an image");
        let text = format!(
            "title = \"T <&> T\"\ndatabase = \"a.sqlite\"\nseed = 1\n[server]\npublic_url = \"{PUBLIC_URL}\"\n{server}\
             [protocol]\noverlap = 2\ngold_rate = 0.2\nmin_reading_secs = 0\ndispute = \"no_majority\"\n\
             [training]\npass_mark = 1.0\nattempts = 1\n[guidelines]\n\
             text = \"# Hi\\n<script>alert(1)</script> [x](javascript:alert(1)) ![y](javascript:z)\"\n{more}"
        );
        let project =
            Project::parse(&folder.path().join("p.toml"), &text).expect("a valid project");
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let store = Store::open(&project, clock.clone())
            .await
            .expect("a database");
        let items = (0..4)
            .map(|i| item(if i == 3 { Kind::Gold } else { Kind::Work }, i))
            .collect();
        store.import(folder.path(), items).await.expect("imported");
        let app = App::new(project, store.clone()).expect("an app");
        Self {
            store,
            clock,
            router: router(Arc::clone(&app)),
            app,
            folder,
        }
    }

    /// Lets one server have both, each below its path.
    pub fn on_one_server(first: &mut Self, second: &mut Self) {
        let apps = vec![Arc::clone(&first.app), Arc::clone(&second.app)];
        first.router = projects_router(apps);
        second.router = first.router.clone();
    }

    /// The folder of the project.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The session of a new person who has accepted the guidelines.
    pub async fn session(&self, name: &str, role: Role) -> String {
        let (secret, _) = self
            .store
            .invite(role, 1, None)
            .await
            .expect("an invitation");
        let person = self
            .store
            .join(secret, name.into(), "hash".into())
            .await
            .expect("a person");
        self.store
            .accept_guidelines(person.person.clone())
            .await
            .expect("accepted");
        self.store
            .start_session(person.person)
            .await
            .expect("a session")
    }

    /// Tells webhooks what is due, and returns how much was told.
    pub async fn deliver(&self) -> usize {
        deliver(&self.app).await.expect("a database")
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("the router never fails");
        Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: to_bytes(response.into_body(), 8 << 20)
                .await
                .expect("a body")
                .to_vec(),
        }
    }

    pub async fn get(&self, path: &str, session: &str) -> Reply {
        self.send(
            request("GET", path, session)
                .body(Body::empty())
                .expect("a request"),
        )
        .await
    }

    pub async fn post(&self, path: &str, session: &str, json: &Value) -> Reply {
        self.send_json("POST", path, session, json.to_string())
            .await
    }

    pub async fn send_json(
        &self,
        method: &str,
        path: &str,
        session: &str,
        body: impl Into<Body>,
    ) -> Reply {
        let request = request(method, path, session).header("content-type", "application/json");
        self.send(request.body(body.into()).expect("a request"))
            .await
    }

    pub async fn submit_form(&self, path: &str, session: &str, form: &'static str) -> Reply {
        let request = request("POST", path, session)
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(form.into()).expect("a request"))
            .await
    }
}

/// A request as a page of the site sends it.
pub fn request(method: &str, path: &str, session: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("origin", PUBLIC_URL)
        .header("cookie", format!("other=1; __Host-candor={session}"))
}

/// An item about the site's image.
pub fn item(kind: Kind, i: usize) -> NewItem {
    NewItem {
        kind,
        name: format!("{}-{i}", kind.name()),
        image: Some("a.png".into()),
        image_folder: Some("images".into()),
        turns: vec![Turn::human("<image>\nWhat is it?")],
        outputs: vec![format!("</script><b>one {i}"), format!("\u{202e}two {i}")],
        original_answer: Some("the data set's".into()),
        known: (kind != Kind::Work).then_some(Known {
            expected: Expected {
                first: candor_annotate::answer::Pick::A,
                second: None,
            },
            explanation: Some("secret".into()),
        }),
        question_type: Some("object".into()),
        models: Some(["model-x".into(), "model-y".into()]),
        rank: 0,
    }
}
