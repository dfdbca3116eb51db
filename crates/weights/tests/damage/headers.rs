//! Safetensors headers that are wrong in one way each.

use crate::forge::safetensors;
use crate::{assert_says, refusal};

#[test]
fn headers_that_contradict_themselves_or_the_file_are_refused() {
    let cases: [(&str, usize, &[&str]); 17] = [
        (r"{", 0, &["unreadable header", "download"]),
        (r#"{"a": 1}"#, 0, &["unreadable header: tensor `a`"]),
        (
            r#"{"a":{"dtype":"F32","shape":[1]}}"#,
            4,
            &["tensor `a`", "data_offsets"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
            4,
            &["tensor `a`"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#,
            4,
            &["tensor `a`"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#,
            4,
            &["tensor `a`", "at most 16 sizes"],
        ),
        (
            r#"{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}"#,
            4,
            &["tensor `a` is `Q4`", "convert"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#,
            4,
            &["tensor `a` has the impossible shape [4294967296, 4294967296]"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,4]}}"#,
            4,
            &["tensor `a` starts at byte 18446744073709551615"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            4,
            &[
                "tensor `a` takes 8 bytes by its type F32 and shape [2]",
                "offsets are 0 and 4",
            ],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
            4,
            &["tensor `b` takes 4 bytes"],
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}"#,
            4,
            &[
                "tensor `b` starts at byte 3",
                "byte 2 is the next without a hole",
            ],
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            4,
            &["tensor `b` starts at byte 2", "byte 3 is the next"],
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
            4,
            &["tensor `a` is in the header twice"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            7,
            &["promises 8 bytes of tensors, the file has 7"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            9,
            &["promises 8 bytes of tensors, the file has 9"],
        ),
        (
            r#"{"__metadata__":{"format":"pt"}}"#,
            0,
            &["holds no tensors"],
        ),
    ];
    for (header, n_data, parts) in cases {
        let file = safetensors(header, &vec![0; n_data]);
        assert_says(&refusal("model.safetensors", &file), parts);
    }
}

#[test]
fn a_header_longer_than_the_file_or_the_format_allows_is_not_read() {
    let mut file = safetensors(
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
        &[0],
    );
    for claimed in [u64::MAX, 1 << 63, 100_000_001, file.len() as u64 - 7] {
        file[..8].copy_from_slice(&claimed.to_le_bytes());
        let expected = format!("claims a header of {claimed} bytes");
        assert_says(
            &refusal("model.safetensors", &file),
            &[&expected, "download"],
        );
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = safetensors(
        r#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#,
        &[0; 9],
    );
    for end in 0..file.len() {
        refusal("model.safetensors", &file[..end]);
    }
}

#[test]
fn what_a_header_says_reaches_the_terminal_escaped_and_short() {
    let name = "\\u001b[2J".to_owned() + &"x".repeat(1 << 20);
    let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}}}"#);
    let message = refusal("model.safetensors", &safetensors(&header, &[0; 2]));
    assert_says(&message, &[r"tensor `\u{1b}[2Jxxx", "…` starts at byte 1"]);
    let header = format!(r#"{{"a":{{"dtype":"{name}","shape":"{name}","data_offsets":[0,1]}}}}"#);
    refusal("model.safetensors", &safetensors(&header, &[0]));
}
