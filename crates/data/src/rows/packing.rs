//! Numbers and texts as bytes, of which rows are made that are kept on the disk.
//!
//! These bytes are read by the process that wrote them, and are no format of files. What is read is none where the bytes end too
//! soon or are no text; nothing is made larger than the bytes are.

use crate::conversation::{Speaker, Turn};

/// Adds a number.
pub fn add(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend(number.to_le_bytes());
}

/// Adds a text, whose length is added before it.
pub fn add_text(bytes: &mut Vec<u8>, text: &str) {
    add(bytes, text.len() as u32);
    bytes.extend(text.as_bytes());
}

/// Adds texts, whose number is added before them; one that may be missing is a list of one or none.
pub fn add_texts(bytes: &mut Vec<u8>, texts: &[String]) {
    add(bytes, texts.len() as u32);
    for text in texts {
        add_text(bytes, text);
    }
}

/// Adds the turns of a conversation, whose number is added before them.
pub fn add_turns(bytes: &mut Vec<u8>, turns: &[Turn]) {
    add(bytes, turns.len() as u32);
    for turn in turns {
        add(bytes, u32::from(turn.from == Speaker::Gpt));
        add_text(bytes, &turn.value);
    }
}

/// Adds token ids, whose number is added before them. Ids are of 32 bits as in every vocabulary.
pub fn add_ids(bytes: &mut Vec<u8>, ids: &[i64]) {
    add(bytes, ids.len() as u32);
    bytes.extend(ids.iter().flat_map(|&id| (id as i32).to_le_bytes()));
}

/// The next number, which `rest` begins after.
pub fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

/// The next number with its fraction, which `rest` begins after.
pub fn fraction(rest: &mut &[u8]) -> Option<f64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(f64::from_le_bytes(*number))
}

/// The next text, of `n` bytes, which `rest` begins after.
pub fn text_of(rest: &mut &[u8], n: u32) -> Option<String> {
    let (text, after) = rest.split_at_checked(n as usize)?;
    *rest = after;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

/// The next text as [`add_text`] adds it.
pub fn text(rest: &mut &[u8]) -> Option<String> {
    let n = number(rest)?;
    text_of(rest, n)
}

/// The next texts as [`add_texts`] adds them.
pub fn texts(rest: &mut &[u8]) -> Option<Vec<String>> {
    let n = number(rest)?;
    (0..n).map(|_| text(rest)).collect()
}

/// The next turns as [`add_turns`] adds them.
pub fn turns(rest: &mut &[u8]) -> Option<Vec<Turn>> {
    let n = number(rest)?;
    let turn = |_| {
        let from = match number(rest)? {
            0 => Speaker::Human,
            _ => Speaker::Gpt,
        };
        let value = text(rest)?;
        Some(Turn { from, value })
    };
    (0..n).map(turn).collect()
}

/// The next token ids as [`add_ids`] adds them.
pub fn ids(rest: &mut &[u8]) -> Option<Vec<i64>> {
    let n = number(rest)? as usize;
    let (ids, after) = rest.split_at_checked(n.checked_mul(4)?)?;
    *rest = after;
    let ids = ids.as_chunks::<4>().0.iter();
    Some(ids.map(|id| i64::from(i32::from_le_bytes(*id))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_read_in_turn_and_what_is_cut_off_is_not() {
        let mut bytes = Vec::new();
        add(&mut bytes, 7);
        add_text(&mut bytes, "ä");
        add_ids(&mut bytes, &[5, -1]);
        bytes.extend(0.1_f64.to_le_bytes());
        assert_eq!(bytes.len(), 4 + (4 + 2) + (4 + 8) + 8);
        let said = vec![Turn::human("Q"), Turn::gpt("")];
        add_turns(&mut bytes, &said);
        add_texts(&mut bytes, &["b".to_owned(), String::new()]);
        add_texts(&mut bytes, &[]);
        let read = |mut rest: &[u8]| {
            let all = (
                number(&mut rest)?,
                text(&mut rest)?,
                ids(&mut rest)?,
                fraction(&mut rest)?,
                turns(&mut rest)?,
                texts(&mut rest)?,
                texts(&mut rest)?,
            );
            rest.is_empty().then_some(all)
        };
        let listed = vec!["b".to_owned(), String::new()];
        let expected = (
            7,
            "ä".to_owned(),
            vec![5, -1],
            0.1,
            said,
            listed,
            Vec::new(),
        );
        assert_eq!(read(&bytes), Some(expected));
        for n in 0..bytes.len() {
            assert_eq!(read(&bytes[..n]), None, "{n}");
        }
        // A length that nothing is made of.
        assert_eq!(ids(&mut &[0xFF; 8][..]), None);
        assert_eq!(text(&mut &[0xFF; 8][..]), None);
    }
}
