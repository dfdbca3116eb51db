//! Pickles that ask for what tensors do not need, or that want to use up time or memory.

use crate::forge::torch_file;
use crate::{assert_says, refusal};

/// The refusal of a torch file whose pickle is `body` after `PROTO 2`.
fn refused(body: &[u8]) -> String {
    refused_whole(&[b"\x80\x02", body].concat())
}

fn refused_whole(pickle: &[u8]) -> String {
    refusal("pytorch_model.bin", &torch_file(pickle))
}

/// A pickle of one tensor `w`: what calls make of its storage, and the other arguments.
fn tensor(storage: &[u8], arguments: &[u8]) -> Vec<u8> {
    let call = b"}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(".as_slice();
    [call, storage, arguments, b"tRs."].concat()
}

/// The persistent id of the storage `0` of three f32.
const STORAGE: &[u8] =
    b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x03tQ";

#[test]
fn names_that_are_not_on_the_list_are_refused_by_name_and_position() {
    let cases: [(&[u8], &str, usize); 10] = [
        (b"cos\nsystem\nX\x04\0\0\0true\x85R.", "os.system", 2),
        (b"cposix\nsystem\nX\x04\0\0\0true\x85R.", "posix.system", 2),
        (
            b"}cbuiltins\neval\nX\x01\0\0\x001\x85R.",
            "builtins.eval",
            3,
        ),
        (b"}c__builtin__\neval\n.", "__builtin__.eval", 3),
        (b"ctorch\nload\n.", "torch.load", 2),
        (
            b"ctorch\n_utils._rebuild_tensor_v2\n.",
            "torch._utils._rebuild_tensor_v2",
            2,
        ),
        (
            b"ctorch.storage\n_load_from_bytes\n.",
            "torch.storage._load_from_bytes",
            2,
        ),
        (
            b"cnumpy.core.multiarray\n_reconstruct\n.",
            "numpy.core.multiarray._reconstruct",
            2,
        ),
        (b"X\x02\0\0\0osX\x06\0\0\0system\x93.", "os.system", 20),
        (b"co\x1b[2Js\nsystem\n.", r"o\u{1b}[2Js.system", 2),
    ];
    for (body, name, position) in cases {
        let byte = format!("byte {position} of data.pkl: the pickle asks for `{name}`");
        let parts = [&byte, "nothing was executed", "safetensors.torch.save_file"];
        assert_says(&refused(body), &parts);
    }
}

#[test]
fn instructions_that_tensors_do_not_need_are_refused_by_name() {
    let cases: [(u8, &str); 18] = [
        (b'i', "INST (0x69)"),
        (b'o', "OBJ (0x6f)"),
        (0x81, "NEWOBJ (0x81)"),
        (0x92, "NEWOBJ_EX (0x92)"),
        (0x82, "EXT1 (0x82)"),
        (0x83, "EXT2 (0x83)"),
        (0x84, "EXT4 (0x84)"),
        (b'P', "PERSID (0x50)"),
        (b'2', "DUP (0x32)"),
        (b'I', "INT (0x49)"),
        (b'S', "STRING (0x53)"),
        (b'V', "UNICODE (0x56)"),
        (b'p', "PUT (0x70)"),
        (b'g', "GET (0x67)"),
        (0x8f, "EMPTY_SET (0x8f)"),
        (0x96, "BYTEARRAY8 (0x96)"),
        (0x80, "PROTO (0x80)"),
        (0xff, "instruction 0xff"),
    ];
    for (code, name) in cases {
        let message = refused(&[b'}', code, 1, 1, 1, 1, b'.']);
        assert_says(
            &message,
            &["byte 3 of data.pkl", name, "nothing was executed"],
        );
    }
    for (pickle, part) in [
        (b"}.".as_slice(), "says its protocol first"),
        (b"\x80\x01}.", "protocol 1 is not one of 2 to 5"),
        (b"\x80\x06}.", "protocol 6 is not one of 2 to 5"),
    ] {
        assert_says(&refused_whole(pickle), &[part]);
    }
}

#[test]
fn calls_that_torch_does_not_make_are_refused() {
    let cases: [(&[u8], &[&str]); 10] = [
        (
            b"X\x02\0\0\0os)R.",
            &["byte 10", "REDUCE calls something that is no function"],
        ),
        (
            b"ccollections\nOrderedDict\n}R.",
            &["REDUCE calls something"],
        ),
        (
            b"ctorch\nfloat16\n)R.",
            &["ElementType is called with 0 arguments"],
        ),
        (
            b"ctorch\nFloatStorage\nK\x03\x85R.",
            &["called with 1 arguments"],
        ),
        (
            b"ccollections\nOrderedDict\n]\x85R.",
            &["OrderedDict is called with 1 arguments"],
        ),
        (
            b"ctorch._utils\n_rebuild_parameter\n}\x89N\x87R.",
            &["a parameter that is no tensor"],
        ),
        (
            b"ctorch\nSize\n}b.",
            &["BUILD sets the state of something that is no dictionary"],
        ),
        (
            b"X\x01\0\0\x000Q.",
            &[
                "byte 8",
                "BINPERSID with an id that is not that of a storage",
            ],
        ),
        (
            b"(X\x07\0\0\0storagectorch\nSize\nX\x01\0\0\x000X\x03\0\0\0cpuK\x03tQ.",
            &["BINPERSID"],
        ),
        (
            b"(X\x06\0\0\0modulectorch\nFloatStorage\nX\x01\0\0\x000NK\x03tQ.",
            &["BINPERSID"],
        ),
    ];
    for (body, parts) in cases {
        let message = refused(body);
        assert_says(&message, &["of data.pkl", "nothing was executed"]);
        assert_says(&message, parts);
    }
}

#[test]
fn pickles_that_make_no_sense_are_refused() {
    let cases: [(&[u8], &str); 21] = [
        (b"", "ends inside an instruction"),
        (b"}", "ends inside an instruction"),
        (b".", "more values than there are"),
        (b"}}.", "the pickle ends in the middle"),
        (b"}(.", "more values than there are"),
        (b"}.}", "the pickle ends in the middle"),
        (b"s.", "more values than there are"),
        (b"}(s.", "more values than there are"),
        (b"K\x01\x86.", "more values than there are"),
        (b"t.", "no mark is open"),
        (b"}(Nu.", "items are set on something that is no dictionary"),
        (
            b"](NNu.",
            "items are set on something that is no dictionary",
        ),
        (b"}Na.", "appended to something that is no list"),
        (b"}(Ne.", "appended to something that is no list"),
        (b"h\x07.", "value 7 is recalled and was never remembered"),
        (b"j\0\0\0\x01.", "value 16777216 is recalled"),
        (b"q\0.", "more values than there are"),
        (b"cos", "GLOBAL without the two lines"),
        (b"NN\x93.", "STACK_GLOBAL without the two texts"),
        (b"J\x01\x02", "ends inside an instruction"),
        (b"G1234567", "ends inside an instruction"),
    ];
    for (body, part) in cases {
        assert_says(&refused(body), &[part, "of data.pkl"]);
    }
    let endless = [b"c".as_slice(), &[b'x'; 300], b"\nsystem\n."].concat();
    assert_says(&refused(&endless), &["GLOBAL without the two lines"]);
}

#[test]
fn lengths_that_are_only_claimed_cost_nothing() {
    let cases: [(&[u8], &str); 8] = [
        (
            b"\x8d\0\0\0\0\0\0\0\x10x.",
            "BINUNICODE8 (0x8d) claims 1152921504606846976 bytes",
        ),
        (
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.",
            "claims 18446744073709551615 bytes",
        ),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffx.",
            "BINBYTES8 (0x8e) claims",
        ),
        (
            b"X\xff\xff\xff\xffx.",
            "BINUNICODE (0x58) claims 4294967295 bytes",
        ),
        (
            b"B\xff\xff\xff\xffx.",
            "BINBYTES (0x42) claims 4294967295 bytes",
        ),
        (
            b"\x8b\xff\xff\xff\xffx.",
            "LONG4 (0x8b) claims 4294967295 bytes",
        ),
        (b"\x8c\xffx.", "SHORT_BINUNICODE (0x8c) claims 255 bytes"),
        (
            b"\x95\xff\xff\xff\xff\xff\xff\xff\xff}.",
            "a frame of 18446744073709551615 bytes",
        ),
    ];
    for (body, part) in cases {
        assert_says(&refused(body), &[part, "left"]);
    }
}

#[test]
fn depth_and_number_of_values_are_bounded_or_free() {
    let message = refused(&[&[b'('; 2000], b".".as_slice()].concat());
    assert_says(
        &message,
        &["byte 1026", "more than 1024 values inside each other"],
    );
    let message = refused(&[&vec![0x88; 3 << 20], b".".as_slice()].concat());
    assert_says(&message, &["more than 2097152 values"]);
    let remembered = vec![0x94; 3 << 20];
    let message = refused(&[b"N".as_slice(), &remembered, b"."].concat());
    assert_says(&message, &["more than 2097152 values are remembered"]);
    // A million tuples around each other would overflow a stack that follows them.
    let message = refused(&[b")".as_slice(), &vec![0x85; 1 << 20], b"."].concat());
    assert_says(&message, &["the outermost value is no dictionary"]);
    // Each tuple holds the one before it twice: 2^100 values if they were written out.
    let mut bomb = b"K\x01q\0".to_vec();
    for _ in 0..100 {
        bomb.extend(b"0h\0h\0\x86q\0");
    }
    bomb.push(b'.');
    assert_says(&refused(&bomb), &["the outermost value is no dictionary"]);
    // A dictionary that is its own state_dict.
    let message = refused(b"}q\0X\x0a\0\0\0state_dicth\0s.");
    assert_says(
        &message,
        &["no tensors in the outermost dictionary (keys `state_dict`)"],
    );
}

#[test]
fn tensors_that_do_not_fit_their_storage_are_refused_by_name() {
    let cases: [(&[u8], &[&str]); 13] = [
        (
            b"K\0K\x04\x85K\x01\x85\x89)",
            &[
                "tensor `w` reaches beyond its storage `0` of 3",
                "shape [4]",
            ],
        ),
        (
            b"K\x01K\x03\x85K\x01\x85\x89)",
            &["tensor `w` reaches beyond", "offset 1"],
        ),
        (
            b"K\0K\x02\x85K\x03\x85\x89)",
            &["tensor `w` reaches beyond", "strides [3]"],
        ),
        (
            b"K\x04K\0\x85K\x01\x85\x89)",
            &["tensor `w` reaches beyond", "offset 4"],
        ),
        (
            b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x03\x85K\x01\x85\x89)",
            &["tensor `w` reaches beyond", "offset 9223372036854775807"],
        ),
        (
            b"K\0K\x03\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85\x89)",
            &["tensor `w` reaches beyond", "strides [9223372036854775807]"],
        ),
        (
            b"K\0\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x03\x86K\0K\0\x86\x89)",
            &[
                "tensor `w` reaches beyond",
                "shape [9223372036854775807, 3]",
            ],
        ),
        (
            b"K\0J\0\0\0\x40\x85K\0\x85\x89)",
            &[
                "tensor `w` has 1073741824 elements of only 3",
                "tensor.contiguous()",
            ],
        ),
        (
            b"J\xff\xff\xff\xffK\x03\x85K\x01\x85\x89)",
            &["-1 where a size or offset belongs"],
        ),
        (
            b"K\0J\xff\xff\xff\xff\x85K\x01\x85\x89)",
            &["-1 where a size or offset belongs"],
        ),
        (
            b"K\0N\x85K\x01\x85\x89)",
            &["no number where a size or offset belongs"],
        ),
        (
            b"K\0K\x03\x85)\x89)",
            &["a tensor of 1 dimensions with 0 strides"],
        ),
        (
            b"K\0(NNNNNNNNNNNNNNNNNtK\x01\x85\x89)",
            &["17 dimensions, 16 are allowed"],
        ),
    ];
    for (arguments, parts) in cases {
        assert_says(&refused(&tensor(STORAGE, arguments)), parts);
    }
    let whole = b"K\0K\x03\x85K\x01\x85\x89)";
    assert_says(
        &refused(&tensor(b"N", whole)),
        &["a tensor without a storage"],
    );
    // A storage that calls itself larger than its member, and one that is outside the archive.
    for (from, to, part) in [
        (
            b"K\x03tQ".as_slice(),
            b"K\x04tQ".as_slice(),
            "4 elements of F32, but that has 12 bytes",
        ),
        (
            b"X\x01\0\0\x000",
            b"X\x05\0\0\0../x0",
            "storage `../x0`, which the archive lacks",
        ),
    ] {
        let at = STORAGE
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        let storage = [&STORAGE[..at], to, &STORAGE[at + from.len()..]].concat();
        assert_says(
            &refused(&tensor(&storage, whole)),
            &["tensor `w` is in storage", part],
        );
    }
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let one = tensor(STORAGE, b"K\0K\x03\x85K\x01\x85\x89)");
    // The first byte makes the dictionary, the last two set the item and stop.
    let pair = &one[1..one.len() - 2];
    let twice = [b"}".as_slice(), pair, b"s", pair, b"s."].concat();
    assert_says(&refused(&twice), &["tensor `w` is in the file twice"]);
}
