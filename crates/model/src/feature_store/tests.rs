use std::time::Duration;

use tch::{Device, Kind, Tensor};

use super::*;
use crate::ImageSpan;

const SPAN: ImageSpan = ImageSpan {
    n_rows: 100,
    n_tokens: 100,
    grid: None,
    lines: None,
};
/// Room for two files of one image, whose rows take 40,000 bytes, and not for three.
const ROOM: u64 = 90_000;

/// A root, and a folder with an image of each letter, whose bytes are the letter.
fn prepared() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (root, images) = (dir.path().join("root"), dir.path().join("images"));
    fs::create_dir(&images).unwrap();
    for letter in ["a", "b", "c", "d"] {
        fs::write(images.join(letter), letter).unwrap();
    }
    (dir, root, images)
}

fn names(letters: &str) -> Vec<String> {
    letters.chars().map(String::from).collect()
}

/// What a tower gives of an image: its letter, and how many images were before it in the pass.
fn look(pass: &[String]) -> Vec<Features> {
    let of = |(at, name): (usize, &String)| {
        let value = f64::from(name.as_bytes()[0]) + at as f64 / 16.0;
        let rows = Tensor::full([100, 100], value, (Kind::Float, Device::Cpu));
        Features::of_image(rows, SPAN)
    };
    pass.iter().enumerate().map(of).collect()
}

/// A number of each image's features, and the letters of those that were encoded for it.
fn seen(store: &FeatureStore, images: &Path, pass: &str) -> (Vec<f64>, String) {
    let mut encoded = String::new();
    let found = store.features(images, &names(pass), |missing| {
        encoded = missing.concat();
        Ok(look(missing))
    });
    let found = found.unwrap();
    let kept = store.keep(images, &names(pass), &found).unwrap();
    let numbers = |features: &Features| features.rows().double_value(&[99, 99]);
    let again = kept.iter().map(|entry| numbers(&entry.read().unwrap()));
    let found: Vec<f64> = found.iter().map(numbers).collect();
    assert!(again.eq(found.iter().copied()));
    assert!(kept.iter().all(|entry| entry.span() == SPAN));
    (found, encoded)
}

fn sole_file(folder: &Path) -> PathBuf {
    let found = files(folder).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn an_image_is_encoded_once_whatever_it_is_called() {
    let (_dir, root, images) = prepared();
    let open = || FeatureStore::open(&root, "tower", 1 << 30, false).unwrap();
    assert_eq!(
        seen(&open(), &images, "ab"),
        (vec![97.0, 98.0625], "ab".to_owned())
    );
    fs::copy(images.join("b"), images.join("z")).unwrap();
    // Only what is new is encoded, where it is the first of its pass.
    let found = seen(&open(), &images, "czb");
    assert_eq!(found, (vec![99.0, 98.0625, 98.0625], "c".to_owned()));
    // Another tower sees with its own eyes.
    let other = FeatureStore::open(&root, "other", 1 << 30, false).unwrap();
    assert_eq!(seen(&other, &images, "b"), (vec![98.0], "b".to_owned()));
    // An image that was changed is another one.
    fs::write(images.join("b"), "B").unwrap();
    assert_eq!(seen(&open(), &images, "b").1, "b");
}

#[test]
fn where_bits_count_a_pass_is_found_as_a_whole() {
    let (_dir, root, images) = prepared();
    let open = || FeatureStore::open(&root, "tower", 1 << 30, true).unwrap();
    let of_both = (vec![97.0, 98.0625], "ab".to_owned());
    assert_eq!(seen(&open(), &images, "ab"), of_both);
    assert_eq!(seen(&open(), &images, "b"), (vec![98.0], "b".to_owned()));
    assert_eq!(seen(&open(), &images, "ab"), (of_both.0, String::new()));
    let turned = seen(&open(), &images, "ba");
    assert_eq!(turned, (vec![98.0, 97.0625], "ba".to_owned()));
}

#[test]
fn what_is_damaged_is_found_and_made_anew() {
    for damage in ["a byte", "the end", "the header"] {
        let (_dir, root, images) = prepared();
        let open = || FeatureStore::open(&root, "tower", 1 << 30, false).unwrap();
        seen(&open(), &images, "ab");
        let path = sole_file(&root.join("tower"));
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        match damage {
            "a byte" => *bytes.last_mut().unwrap() ^= 1,
            "the end" => bytes.truncate(bytes.len() - 1),
            _ => bytes[8] = b'!',
        }
        fs::write(&path, bytes).unwrap();
        let made_anew = (vec![97.0, 98.0625], "ab".to_owned());
        assert_eq!(seen(&open(), &images, "ab"), made_anew, "{damage}");
        assert!(fs::read(&path).unwrap() == whole, "{damage}");
        assert_eq!(seen(&open(), &images, "ab").1, "", "{damage}");
    }
}

#[test]
fn what_is_damaged_is_made_anew_while_others_use_the_store() {
    for (of_passes, again) in [(true, (98.0625, "ab")), (false, (98.0, "b"))] {
        let (_dir, root, images) = prepared();
        let open = || FeatureStore::open(&root, "tower", 1 << 30, of_passes).unwrap();
        let other = open();
        seen(&other, &images, "ab");
        let path = sole_file(&root.join("tower"));
        let whole = fs::read(&path).unwrap();
        // The second image, so that the first has been read, and its file marked, when that is found.
        let of_second = 98.0625_f32.to_le_bytes();
        let at = whole.windows(4).position(|bytes| bytes == of_second);
        let mut bytes = whole.clone();
        bytes[at.unwrap()] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (second, encoded) = again;
        let made_anew = (vec![97.0, second], encoded.to_owned());
        assert_eq!(seen(&open(), &images, "ab"), made_anew);
        if of_passes {
            assert!(fs::read(&path).unwrap() == whole);
            assert_eq!(seen(&open(), &images, "ab").1, "");
        }
    }
}

#[test]
fn what_is_kept_is_what_was_given_in_a_marked_file() {
    let (_dir, root, images) = prepared();
    let open = || FeatureStore::open(&root, "tower", 1 << 30, false).unwrap();
    seen(&open(), &images, "a");
    let path = sole_file(&root.join("tower"));
    let time = || fs::metadata(&path).unwrap().modified().unwrap();
    let set = |time| {
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    };
    let keep = |given: &[Features]| {
        let kept = open().keep(&images, &names("a"), given).unwrap();
        let kept = kept.iter().map(|entry| entry.read().unwrap());
        let values = kept.map(|features| features.rows().double_value(&[99, 99]));
        values.collect::<Vec<f64>>()
    };
    let now = SystemTime::now();
    set(now - Duration::from_secs(100));
    assert_eq!(keep(&look(&names("a"))), [97.0]);
    assert!(time() > now - Duration::from_secs(50));
    // By a clock that is ahead.
    set(now + Duration::from_secs(1000));
    let later = time();
    assert_eq!(keep(&look(&names("a"))), [97.0]);
    assert_eq!(time(), later);
    // As another device, or the same in another pass, may round it.
    let otherwise = look(&names("ba")).split_off(1);
    assert_eq!(keep(&otherwise), [97.0625]);
    let file = fs::read(&path).unwrap();
    assert!(file.ends_with(&97.0_f32.to_le_bytes()));
}

#[test]
fn whom_one_cannot_ask_is_taken_to_be_alive() {
    let (_dir, root, images) = prepared();
    let open = |tower: &str| FeatureStore::open(&root, tower, ROOM, false).unwrap();
    for (tower, letter) in [("first", "a"), ("second", "b")] {
        seen(&open(tower), &images, letter);
        let path = sole_file(&root.join(tower));
        let file = File::options().write(true).open(path).unwrap();
        let then = SystemTime::now() - Duration::from_secs(100);
        file.set_modified(then).unwrap();
    }
    // It cannot be opened as a file, as that of another user cannot.
    let unasked = root.join("in-use-by-another");
    fs::create_dir(&unasked).unwrap();
    let third = open("third");
    let full = third.features(&images, &names("c"), |missing| Ok(look(missing)));
    let message = full.unwrap_err().to_string();
    assert!(message.contains("in-use-by-another"), "{message}");
    fs::remove_dir(&unasked).unwrap();
    // What may only be read can be asked, and nobody has it locked any more.
    let dead = root.join("in-use-by-a-dead-one");
    let mut permissions = File::create(&dead)
        .unwrap()
        .metadata()
        .unwrap()
        .permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&dead, permissions).unwrap();
    assert_eq!(seen(&third, &images, "c").1, "c");
    assert!(!dead.exists());
}

#[test]
fn what_was_used_longest_ago_makes_room_and_what_is_in_use_stays() {
    let (_dir, root, images) = prepared();
    let open = |tower: &str| FeatureStore::open(&root, tower, ROOM, false).unwrap();
    let age = |tower: &str, secs: u64| {
        let path = sole_file(&root.join(tower));
        let file = File::options().write(true).open(path).unwrap();
        let then = SystemTime::now() - Duration::from_secs(secs);
        file.set_modified(then).unwrap();
    };
    let first = open("first");
    seen(&first, &images, "a");
    let second = open("second");
    seen(&second, &images, "b");
    // Both live, and a third finds no room.
    let third = open("third");
    let full = third.features(&images, &names("c"), |missing| Ok(look(missing)));
    let message = full.unwrap_err().to_string();
    assert!(message.contains("run.features_disk_gb"), "{message}");
    drop(first);
    drop(second);
    age("first", 100);
    age("second", 200);
    assert_eq!(seen(&third, &images, "c").1, "c");
    assert!(files(&root.join("second")).unwrap().is_empty());
    // What is looked at again is used, be it as old as it may.
    let fourth = open("first");
    assert_eq!(seen(&fourth, &images, "a").1, "");
    let full = fourth.features(&images, &names("d"), |missing| Ok(look(missing)));
    assert!(full.is_err());
    drop(third);
    age("third", 300);
    assert_eq!(seen(&fourth, &images, "d").1, "d");
    assert!(files(&root.join("third")).unwrap().is_empty());
    drop(fourth);
    // Nobody is left who says that he uses it.
    let left = entries(&root).unwrap();
    assert!(left.iter().all(|path| path.is_dir()), "{left:?}");
}
