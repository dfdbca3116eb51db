//! `candor data get`

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use crate::hub::{ABC, Answer, Hub};

const REPOSITORY: &str = "datasets/zhiqings/LLaVA-Human-Preference-10K";
const FILE: &str = "llava_7b_v1_preference.json";
const GET: [&str; 3] = ["data", "get", "llava-human-preference"];

/// The list of a repository with a file of as many bytes as the hub says.
fn list(size: u64) -> (String, Answer) {
    let text = format!(
        r#"{{"sha": "c0ffee", "tags": ["license:apache-2.0"], "siblings": [{{"rfilename": "README.md", "size": 28}},
            {{"rfilename": "{FILE}", "size": {size}, "lfs": {{"sha256": "{ABC}", "size": {size}, "pointerSize": 133}}}}]}}"#
    );
    (list_path(), Answer::List(text))
}

fn list_path() -> String {
    format!("/api/{REPOSITORY}/revision/main?blobs=true")
}

/// Where the file of the commit that was shown is.
fn file_path() -> String {
    format!("/{REPOSITORY}/resolve/c0ffee/{FILE}")
}

fn file(content: &str) -> (String, Answer) {
    (file_path(), Answer::File(content.into(), ABC.into()))
}

/// What is said on stdout and stderr, and the exit code.
fn get(hub: &Hub, cache: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let done = hub.candor(cache, &[&GET[..], more].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let errors = text(done.stderr);
    assert!(!errors.contains("hf_secret"), "{errors}");
    (done.status.code(), text(done.stdout), errors)
}

#[test]
fn what_is_to_be_fetched_is_shown_and_comes_of_that_commit() {
    let hub = Hub::serve(vec![list(3), file("abc")]);
    let dir = tempfile::tempdir().unwrap();
    let (cache, out) = (dir.path().join("cache"), dir.path().join("out"));
    let (code, said, errors) = get(&hub, &cache, &[]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    let shown = format!("{FILE}: 3 bytes, SHA-256 {ABC}");
    for words in [
        "main is commit c0ffee",
        "licence: apache-2.0, as the hub says",
        shown.as_str(),
        "1 files, 3 bytes in all",
        "nothing was fetched",
    ] {
        assert!(errors.contains(words), "{words} is not in {errors}");
    }
    assert!(!errors.contains("README.md"), "{errors}");
    assert_eq!(*hub.asked(), [list_path()]);

    let into = ["--yes", "--out", out.to_str().unwrap()];
    let (code, said, errors) = get(&hub, &cache, &into);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(said.trim(), out.to_str().unwrap());
    assert!(errors.contains("candor data check --format preference"));
    assert_eq!(fs::read_to_string(out.join(FILE)).unwrap(), "abc");

    // Without --out the folder of the cache is named, and what it has is not fetched again.
    hub.asked().clear();
    let (code, said, _) = get(&hub, &cache, &["--yes"]);
    assert_eq!(
        (code, hub.asked().as_slice()),
        (Some(0), &[list_path()][..])
    );
    assert_eq!(
        fs::read_to_string(Path::new(said.trim()).join(FILE)).unwrap(),
        "abc"
    );

    // What is in the folder is the user's own: the cache does not change with it, and it is looked at before anything is fetched.
    fs::write(out.join(FILE), "mine").unwrap();
    assert_eq!(
        fs::read_to_string(Path::new(said.trim()).join(FILE)).unwrap(),
        "abc"
    );
    hub.asked().clear();
    let (code, _, errors) = get(&hub, &dir.path().join("empty"), &into);
    assert_eq!(code, Some(2));
    assert!(errors.contains("says something else"), "{errors}");
    assert_eq!(fs::read_to_string(out.join(FILE)).unwrap(), "mine");
    assert_eq!(*hub.asked(), [list_path()]);
}

/// The cache as the `huggingface_hub` of Python leaves it: references of branches alone, contents named by their SHA-256.
#[cfg(unix)]
#[test]
fn what_other_tools_have_fetched_is_not_fetched_again() {
    let hub = Hub::serve(vec![list(3), file("abc")]);
    for commit in ["c0ffee", "01d"] {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir
            .path()
            .join("datasets--zhiqings--LLaVA-Human-Preference-10K");
        let snapshot = kept.join("snapshots").join(commit);
        for folder in [&kept.join("refs"), &kept.join("blobs"), &snapshot] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(kept.join("refs/main"), commit).unwrap();
        fs::write(kept.join("blobs").join(ABC), "abc").unwrap();
        let content = Path::new("../../blobs").join(ABC);
        std::os::unix::fs::symlink(&content, snapshot.join(FILE)).unwrap();

        hub.asked().clear();
        let (code, said, errors) = get(&hub, dir.path(), &["--yes"]);
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(*hub.asked(), [list_path()], "{commit}");
        let folder = kept.join("snapshots/c0ffee");
        assert_eq!(said.trim(), folder.to_str().unwrap());
        assert_eq!(fs::read_link(folder.join(FILE)).unwrap(), content);
        assert_eq!(fs::read_to_string(folder.join(FILE)).unwrap(), "abc");
        // Where those tools look for the newest revision.
        let main = fs::read_to_string(kept.join("refs/main")).unwrap();
        assert_eq!(main, "c0ffee");
    }
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let cut = Answer::Cut("abc".into(), ABC.into(), Mutex::new(Some(1)));
    let hub = Hub::serve(vec![list(3), (file_path(), cut)]);
    let dir = tempfile::tempdir().unwrap();
    let (code, said, errors) = get(&hub, dir.path(), &["--yes"]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(
        fs::read_to_string(Path::new(said.trim()).join(FILE)).unwrap(),
        "abc"
    );
    let asked = hub.asked();
    let ranges: Vec<&str> = asked
        .iter()
        .filter_map(|path| path.strip_prefix(&file_path()))
        .collect();
    assert_eq!(ranges, [" bytes=0-0", " bytes=0-", " bytes=1-"]);
}

#[test]
fn a_file_that_is_not_what_was_shown_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let into = ["--yes", "--out", out.to_str().unwrap()];
    let refused = |answers, words: &str| {
        let hub = Hub::serve(answers);
        let cache = tempfile::tempdir().unwrap();
        let (code, _, errors) = get(&hub, cache.path(), &into);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(words), "{words} is not in {errors}");
        assert!(!out.join(FILE).exists());
    };
    refused(vec![list(3), file("abd")], "damaged");
    refused(vec![list(4), file("abc")], "has 3 bytes and not 4");
    // Of no disk.
    refused(vec![list(u64::MAX), file("abc")], "make room");
}

#[test]
fn what_cannot_be_fetched_says_why_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for (status, words) in [
        ("401 Unauthorized", "accept its conditions"),
        ("403 Forbidden", "accept its conditions"),
        ("404 Not Found", "no such set or revision"),
        ("500 Internal Server Error", "try again"),
    ] {
        let hub = Hub::serve(vec![(list_path(), Answer::Refusal(status))]);
        let (code, _, errors) = get(&hub, dir.path(), &["--yes"]);
        assert_eq!(code, Some(2));
        assert!(errors.contains(words), "{status}: {errors}");
    }
    let hub = Hub::serve(Vec::new());
    let said = |arguments: &[&str]| {
        let done = hub.candor(dir.path(), arguments);
        let text = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        (done.status.code(), text)
    };
    let (code, text) = said(&["data", "get", "coco", "--yes"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("http://images.cocodataset.org/zips/train2017.zip"));
    assert!(text.contains("--coco-captions"), "{text}");
    let (code, text) = said(&["data", "get", "no-such-set"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("llava-instruct, "), "{text}");
    let (code, text) = said(&["data", "get", "--list"]);
    assert_eq!(code, Some(0));
    let row = text.lines().find(|row| row.starts_with("rlhf-v ")).unwrap();
    assert!(row.contains("openbmb/RLHF-V-Dataset") && row.contains("cc-by-nc-4.0"));
    assert!(hub.asked().is_empty());
}
