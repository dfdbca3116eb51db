//! A recipe of several stages at once, read by each of them.

use candor_recipe::Reader;

#[test]
fn a_recipe_of_two_stages_is_read_in_parts() {
    let text = "seed = 1\nodd = 2\n[run]\nout = \"a\"\nchunk = 3\n[own]\nn = 4\n";
    let whole = Reader::parse("r.toml", text, &["own.m=5".to_owned()]);
    let is_own = |key: &str| ["seed", "run.chunk"].contains(&key) || key.starts_with("own.");
    let mut own = whole.part(is_own);
    assert_eq!(own.u64("seed", "Decides all.").required(), 1);
    assert_eq!(own.u64("run.chunk", "A chunk.").required(), 3);
    assert_eq!(own.u64("own.n", "A number.").required(), 4);
    assert_eq!(own.u64("own.m", "Another.").required(), 5);
    own.finish().unwrap();
    // What nobody asks for is a mistake of the part that it is in, at its own line.
    let mut rest = whole.part(|key| key == "seed" || !is_own(key));
    rest.u64("seed", "Decides all.").required();
    rest.string("run.out", "A folder.").required();
    let message = rest.finish().unwrap_err().to_string();
    assert!(message.contains("r.toml:2: odd"), "{message}");
    assert!(message.contains("1 mistake\n"), "{message}");
    let whole = whole.resolved().to_text();
    let mut again = Reader::parse("r.toml", &whole, &[]).part(is_own);
    assert_eq!(again.u64("own.m", "Another.").required(), 5);
}
