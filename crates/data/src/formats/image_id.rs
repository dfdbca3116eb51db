//! How a data set names an image: by COCO's number, or by a name.
//!
//! The reference needs integer file stems; candor does not, so the micro-world and anybody's own images
//! may carry any name.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// An image as VQA-v2 and A-OKVQA refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum ImageId {
    /// COCO's number.
    Number(u64),
    /// A file name.
    Name(String),
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;
        impl de::Visitor<'_> for NumberOrName {
            type Value = ImageId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image number or a file name")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ImageId, E> {
                Ok(ImageId::Number(number))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<ImageId, E> {
                Ok(ImageId::Name(name.to_owned()))
            }
        }
        deserializer.deserialize_any(NumberOrName)
    }
}

/// How image numbers become file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageNames {
    /// What comes before the digits, such as `COCO_train2014_`.
    pub prefix: String,
    /// Number of digits, padded with zeros.
    pub digits: usize,
    /// What comes after, such as `.jpg`.
    pub suffix: String,
}

impl ImageNames {
    /// `000000123456.jpg`, as COCO 2017 and the LLaVA sets name images.
    #[must_use]
    pub fn coco_2017() -> Self {
        Self {
            prefix: String::new(),
            digits: 12,
            suffix: ".jpg".into(),
        }
    }

    /// `COCO_train2014_000000123456.jpg` for the split `train2014`.
    #[must_use]
    pub fn coco_2014(split: &str) -> Self {
        Self {
            prefix: format!("COCO_{split}_"),
            ..Self::coco_2017()
        }
    }

    /// The names of a pattern such as `COCO_train2014_{:012}.jpg`; none where it has no such number.
    #[must_use]
    pub fn from_pattern(pattern: &str) -> Option<Self> {
        let (prefix, rest) = pattern.split_once("{:0")?;
        let (digits, suffix) = rest.split_once('}')?;
        Some(Self {
            prefix: prefix.to_owned(),
            digits: digits.parse().ok().filter(|n| (1..=20).contains(n))?,
            suffix: suffix.to_owned(),
        })
    }

    /// The file name of an image; a name is taken as it is.
    #[must_use]
    pub fn file(&self, image: &ImageId) -> String {
        match image {
            ImageId::Number(number) => self.numbered(*number),
            ImageId::Name(name) => name.clone(),
        }
    }

    /// The file name of the image with this number.
    #[must_use]
    pub fn numbered(&self, number: u64) -> String {
        format!(
            "{}{number:0digits$}{}",
            self.prefix,
            self.suffix,
            digits = self.digits
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_padded_and_names_kept() {
        let number = ImageId::Number(42);
        assert_eq!(ImageNames::coco_2017().file(&number), "000000000042.jpg");
        assert_eq!(
            ImageNames::coco_2014("val2014").file(&number),
            "COCO_val2014_000000000042.jpg"
        );
        let pattern = ImageNames::from_pattern("COCO_val2014_{:012}.jpg").unwrap();
        assert_eq!(pattern, ImageNames::coco_2014("val2014"));
        for wrong in ["{}.jpg", "{:0}.jpg", "{:012", "{:099}.jpg", "a.jpg"] {
            assert_eq!(ImageNames::from_pattern(wrong), None, "{wrong}");
        }
        let name = ImageId::Name("kitchen-7.png".into());
        assert_eq!(ImageNames::coco_2017().file(&name), "kitchen-7.png");
    }
}
