//! What tells an image apart by its name, whatever folder or set of COCO's it was taken from.

/// Digits of COCO's numbers in file names.
const COCO_DIGITS: usize = 12;

/// COCO's number, with or without the name of its set before it, or the name in lower case without its folders.
#[must_use]
pub fn image_key(name: &str) -> String {
    coco_number(name).map_or_else(|| without_folders(name).to_lowercase(), str::to_owned)
}

/// COCO's number of an image, with or without folders and the name of its set before it; none where the name has none.
#[must_use]
pub fn coco_number(name: &str) -> Option<&str> {
    let name = without_folders(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let number = stem.rsplit('_').next().unwrap_or(stem);
    let is_number = number.len() == COCO_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}

fn without_folders(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cocos_numbers_are_the_same_image_in_all_its_sets() {
        for name in [
            "COCO_val2014_000000000042.jpg",
            "000000000042.png",
            "coco/train2017/000000000042.jpg",
        ] {
            assert_eq!(image_key(name), "000000000042", "{name}");
            assert_eq!(coco_number(name), Some("000000000042"), "{name}");
        }
        assert_eq!(coco_number("photos/Kitchen_7.PNG"), None);
        assert_eq!(image_key("photos/Kitchen_7.PNG"), "kitchen_7.png");
        assert_eq!(image_key("1000092795.jpg"), "1000092795.jpg");
    }
}
