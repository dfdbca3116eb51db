//! A judge that begins before the last answer is there.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use candor_judge::pipelined::while_judging;
use candor_judge::{Judge, Request};

use crate::scripted::Scripted;

fn request(words: &str) -> Request {
    Request {
        id: words.to_owned(),
        system: None,
        user: words.to_owned(),
        images: Vec::new(),
        template: String::new(),
    }
}

#[test]
fn replies_are_there_while_the_work_goes_on_and_all_when_it_is_done() {
    let (heard, told) = channel();
    let heard = Mutex::new(heard);
    let judge = Scripted(
        |prompt: &str| {
            heard.lock().unwrap().send(prompt.to_owned()).unwrap();
            vec!["ok".to_owned()]
        },
        false,
    );
    let done = while_judging(Some(&judge as &dyn Judge), |pipelined| {
        pipelined.ask(request("first"));
        // Would wait for ever if the judge began only after the work.
        assert_eq!(told.recv().unwrap(), "first");
        pipelined.ask(request("second"));
        pipelined.ask(request("third"));
        7
    });
    assert_eq!(done, 7);
    let rest: Vec<String> = told.try_iter().collect();
    assert_eq!(rest, ["second", "third"]);
}

#[test]
fn without_a_judge_the_work_is_done_all_the_same() {
    let done = while_judging(None, |pipelined| {
        pipelined.ask(request("first"));
        7
    });
    assert_eq!(done, 7);
}
