//! Zip archives that are wrong in one way each, or not those of `torch.save`.

use candor_weights::Checkpoint;

use crate::forge::{Member, archive, torch_file};
use crate::{assert_says, refusal};

/// A dictionary with the tensor `w` of three f32, the whole storage `0`.
const PICKLE: &[u8] =
    b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage\
    ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x03tQK\0K\x03\x85K\x01\x85\x89)tRs.";

/// Where `part` begins in `file` for the last time.
fn last(file: &[u8], part: &[u8]) -> usize {
    let mut windows = file.windows(part.len());
    windows
        .rposition(|window| window == part)
        .expect("the part")
}

#[test]
fn the_forged_file_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.bin");
    std::fs::write(&path, torch_file(PICKLE)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let mut bytes = Vec::new();
    checkpoint.read("w", &mut bytes).unwrap();
    assert_eq!(bytes, b"\0\0\0\0\0\0\x80?\0\0\0@");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = torch_file(PICKLE);
    for end in 0..file.len() {
        refusal("w.bin", &file[..end]);
    }
}

#[test]
fn directories_that_lie_are_refused() {
    let whole = torch_file(PICKLE);
    let storage = last(&whole, b"archive/data/0") - 46;
    let pickle = last(&whole, b"archive/data.pkl") - 46;
    let end = whole.len() - 22;
    let n_longer = PICKLE.len() as u8 + 1;
    let longer = [n_longer, 0, 0, 0, n_longer];
    // Where to write, what to write there, and what the message must contain.
    let cases: [(usize, &[u8], &[&str]); 13] = [
        (
            storage + 24,
            &[13],
            &["`archive/data/0` is stored as it is, yet claims 13 bytes in 12"],
        ),
        (
            storage + 20,
            &[13, 0, 0, 0, 13],
            &["member `archive/data/0` claims 13 bytes, more than"],
        ),
        (pickle + 20, &longer, &["overlaps the one before it"]),
        (
            storage + 20,
            &[11, 0, 0, 0, 11],
            &["tensor `w`", "3 elements of F32", "has 11 bytes"],
        ),
        (
            storage + 20,
            &[255; 8],
            &["record 2 of the zip directory is damaged"],
        ),
        (
            storage + 10,
            &[8],
            &[
                "member `archive/data/0` is compressed",
                "method 8",
                "torch.save",
            ],
        ),
        (
            storage + 8,
            &[1],
            &["member `archive/data/0` is compressed or encrypted"],
        ),
        (
            storage + 42,
            &[whole[storage + 42] + 1],
            &["member `archive/data/0` is not where the directory says"],
        ),
        (
            storage + 46 + 13,
            b"1",
            &["member `archive/data/1` is not where"],
        ),
        (
            storage + 46,
            &[255],
            &["name of zip member 2 is not valid UTF-8"],
        ),
        (
            end + 8,
            &[2, 0, 2],
            &["the zip directory is longer than its members"],
        ),
        (end + 8, &[255; 4], &["claims 65535 members"]),
        (end + 16, &[0], &["ends elsewhere"]),
    ];
    for (at, bytes, parts) in cases {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        assert_says(&refusal("w.bin", &file), parts);
    }
    assert_says(
        &refusal("w.bin", &[&whole[..], b"!"].concat()),
        &["its directory is missing"],
    );
}

/// The forged file with the ends and fields that sizes of 64 bits take.
fn with_wide_fields(located: u64, n_members: u64, wide: &[u64]) -> Vec<u8> {
    let whole = torch_file(PICKLE);
    let storage = last(&whole, b"archive/data/0") - 46;
    let (file, end) = whole.split_at(whole.len() - 22);
    let mut file = file.to_vec();
    // The storage's record is the last one: its two sizes and its place become all ones.
    file[storage + 20..storage + 28].fill(255);
    file[storage + 42..storage + 46].fill(255);
    let mut extra = vec![1, 0, (wide.len() * 8) as u8, 0];
    extra.extend(wide.iter().flat_map(|number| number.to_le_bytes()));
    file[storage + 30] = extra.len() as u8;
    file.extend(&extra);
    let directory_at = u64::from(u32::from_le_bytes(end[16..20].try_into().unwrap()));
    let n_directory = file.len() as u64 - directory_at;
    let end_at = file.len() as u64;
    file.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x1e\x03\x2d\0\0\0\0\0\0\0\0\0");
    for number in [n_members, n_members, n_directory, directory_at] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"PK\x06\x07\0\0\0\0");
    file.extend((end_at + located).to_le_bytes());
    file.extend(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
    file.extend([255; 12]);
    file.extend([0, 0]);
    file
}

#[test]
fn sizes_of_64_bits_are_read_and_checked() {
    let whole = torch_file(PICKLE);
    let header_at = last(&whole[..last(&whole, b"archive/data/0")], b"archive/data/0") as u64 - 30;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.bin");
    std::fs::write(&path, with_wide_fields(0, 3, &[12, 12, header_at])).unwrap();
    let mut bytes = Vec::new();
    Checkpoint::open(&path)
        .unwrap()
        .read("w", &mut bytes)
        .unwrap();
    assert_eq!(bytes, b"\0\0\0\0\0\0\x80?\0\0\0@");

    let cases: [(u64, u64, &[u64], &[&str]); 6] = [
        (1, 3, &[12, 12, header_at], &["contradict each other"]),
        (
            0,
            u64::MAX,
            &[12, 12, header_at],
            &["claims 18446744073709551615 members"],
        ),
        (
            0,
            3,
            &[u64::MAX, u64::MAX, header_at],
            &["claims 18446744073709551615 bytes"],
        ),
        (
            0,
            3,
            &[12, 12, u64::MAX],
            &["is not where the directory says"],
        ),
        (
            0,
            3,
            &[12, 12, u64::MAX - 40],
            &["is not where the directory says"],
        ),
        (
            0,
            3,
            &[12, 12],
            &["record 2 of the zip directory is damaged"],
        ),
    ];
    for (located, n_members, wide, parts) in cases {
        assert_says(
            &refusal("w.bin", &with_wide_fields(located, n_members, wide)),
            parts,
        );
    }
}

#[test]
fn archives_that_are_not_of_torch_save_are_refused() {
    let order: Member = ("a/byteorder", b"little");
    let data: Member = ("a/data/0", &[0; 12]);
    let pickle = ("a/data.pkl", PICKLE);
    let cases: [(&[Member], &[&str]); 9] = [
        (&[order, data], &["without exactly one data.pkl"]),
        (
            &[("a/b/data.pkl", PICKLE), data],
            &["without exactly one data.pkl"],
        ),
        (
            &[pickle, ("b/data.pkl", PICKLE), data],
            &["without exactly one data.pkl"],
        ),
        // The members of an archive that torch.jit.save wrote.
        (
            &[
                data,
                pickle,
                ("a/code/__torch__/linear.py", b""),
                ("a/constants.pkl", b"\x80\x02)."),
            ],
            &["a TorchScript archive", "state_dict()"],
        ),
        (
            &[pickle, ("a/byteorder", b"big"), data],
            &["byte order `big`, only `little`"],
        ),
        (
            &[pickle, ("a/byteorder", &[b'x'; 17]), data],
            &["`a/byteorder` has 17 bytes, 16 are allowed"],
        ),
        (
            &[pickle, order],
            &["tensor `w` is in storage `0`, which the archive lacks"],
        ),
        (
            &[pickle, ("a/data/0", &[0; 8])],
            &["tensor `w`", "3 elements of F32, but that has 8 bytes"],
        ),
        (&[pickle, data, data], &["two members are named `a/data/0`"]),
    ];
    for (members, parts) in cases {
        assert_says(&refusal("w.bin", &archive(members)), parts);
    }
    let long = vec![0; (16 << 20) + 1];
    let message = refusal("w.bin", &archive(&[("a/data.pkl", &long), data]));
    assert_says(
        &message,
        &["`a/data.pkl` has 16777217 bytes, 16777216 are allowed"],
    );
}
