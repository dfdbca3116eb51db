//! A conversation with images, from text to token ids: which model, how many images, tokens of an image, and turns that are
//! apart by a zero byte.
//!
//! Every token is one of the vocabulary and comes from within the text; what is written token by token is what all tokens
//! say. A row that is taken has each of its images whole, trains on none of their tokens, and is refused, never cut, where
//! one token less is allowed.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use candor_data::{Conversation, Turn, shown};
use candor_model::sample::{IGNORE, Sample};
use candor_model::{Detokenizer, ImageSource, Reading, Tokenizer};

use crate::golden::of_crate;

/// `fuzz/seeds` has them in the same order.
pub(crate) const MODELS: [&str; 7] = [
    "dialects/hf_current_224",
    "dialects/original_linear_224",
    "qwen/folders/published",
    "qwen/folders/deep",
    "tiled/folders/vicuna",
    "tiled/folders/llama3",
    "tiled/folders/onevision",
];
/// More than any row has.
const MAX_TOKENS: usize = 1 << 20;
/// Texts of more tokens are not written token by token: each looks back as far as a character may not be whole.
const MOST_WRITTEN: usize = 512;

thread_local! {
    static OPENED: RefCell<BTreeMap<usize, Rc<Reading>>> = const { RefCell::new(BTreeMap::new()) };
}

fn opened(which: usize) -> Rc<Reading> {
    OPENED.with_borrow_mut(|opened| {
        let open = || {
            let folder = of_crate("model").join(MODELS[which]);
            Rc::new(Reading::open(&folder).expect("a golden folder"))
        };
        Rc::clone(opened.entry(which).or_insert_with(open))
    })
}

/// Renders and tokenises.
///
/// # Panics
/// Something of what is above does not hold.
pub fn tokenise(content: &[u8]) -> bool {
    let Some((&[which, n_images, n_tokens], text)) = content.split_first_chunk::<3>() else {
        return false;
    };
    let text = String::from_utf8_lossy(text);
    let reading = opened(usize::from(which) % MODELS.len());
    check_text(&reading.tokenizer, &text);

    let names: Vec<String> = (0..n_images % 4).map(|at| format!("{at}.png")).collect();
    let numbers = (1 + usize::from(n_tokens)..).take(names.len());
    let counts: HashMap<String, usize> = names.iter().cloned().zip(numbers).collect();
    let turns = text
        .split('\0')
        .enumerate()
        .map(|(at, words)| match at % 2 {
            0 => Turn::human(words),
            _ => Turn::gpt(words),
        });
    let row = Conversation {
        id: "row".to_owned(),
        image: shown::together(&names).expect("plain names"),
        turns: turns.collect(),
    };
    let rules = |max_tokens| reading.rules(max_tokens, ImageSource::Encoded(&counts));
    let Ok(sample) = Sample::new(&row, rules(MAX_TOKENS)) else {
        return false;
    };
    let each = rules(MAX_TOKENS).images;
    let of_images: usize = names
        .iter()
        .map(|name| each.of(name).expect("a number"))
        .sum();
    let image = reading.tokenizer.image;
    let found = sample.ids.iter().filter(|&&id| id == image).count();
    assert_eq!(found, of_images, "tokens of images");
    assert_eq!(sample.ids.len(), sample.labels.len());
    for (&id, &label) in sample.ids.iter().zip(&sample.labels) {
        assert!(
            label == IGNORE || (label == id && id != image),
            "{id} {label}"
        );
    }
    let n = sample.ids.len();
    assert_eq!(Sample::new(&row, rules(n)).ok(), Some(sample));
    assert!(n == 0 || Sample::new(&row, rules(n - 1)).is_err(), "cut");
    true
}

fn check_text(tokenizer: &Tokenizer, text: &str) {
    let Ok(encoded) = tokenizer.encode(text) else {
        return;
    };
    assert_eq!(encoded.ids.len(), encoded.spans.len());
    let ids = 0..tokenizer.vocab_size() as i64;
    for (id, &(from, to)) in encoded.ids.iter().zip(&encoded.spans) {
        assert!(ids.contains(id), "{id} is none of the vocabulary");
        assert!(from <= to && to <= text.len(), "{from}..{to}");
    }
    if encoded.ids.len() > MOST_WRITTEN {
        return;
    }
    let whole = tokenizer
        .decode(&encoded.ids)
        .expect("ids of the vocabulary");
    let mut written = Detokenizer::new(tokenizer);
    for &id in &encoded.ids {
        written.push(id).expect("an id of the vocabulary");
    }
    written.finish().expect("ids of the vocabulary");
    assert_eq!(written.text(), whole.trim_start());
}
