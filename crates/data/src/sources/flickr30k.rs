//! Flickr30k: one short caption an image, asked for in changing words.

use std::collections::HashMap;
use std::sync::Arc;

use rand::RngExt as _;

use super::with_image;
use crate::conversation::{Conversation, Turn};
use crate::error::Place;
use crate::formats::flickr30k::Caption;
use crate::random;
use crate::rows::{Row, RowName, SourceFile};

/// Ways to ask for a short caption.
const INSTRUCTIONS: [&str; 6] = [
    "Describe the picture in one short sentence.",
    "Give a brief caption for this picture.",
    "Say in a single sentence what the picture shows.",
    "What does this picture show? Keep it short.",
    "Caption this image briefly.",
    "Sum up the image in one sentence.",
];

/// One conversation an image, in the order in which images first appear. `seed` and the image's position
/// decide which of its captions is learned and how it is asked for. A row is known by its image.
#[must_use]
pub fn flickr30k(
    file: &Arc<SourceFile>,
    captions: &[Caption],
    seed: u64,
) -> Vec<Row<Conversation>> {
    let mut order = Vec::new();
    let mut by_image: HashMap<&str, Vec<&Caption>> = HashMap::new();
    for caption in captions {
        by_image
            .entry(&caption.image)
            .or_insert_with(|| {
                order.push(caption.image.as_str());
                Vec::new()
            })
            .push(caption);
    }
    let rows = order.into_iter().enumerate().map(|(position, image)| {
        let mut stream = random::stream(seed, "sources.flickr30k", &[position as u64]);
        let mut pick = |n: usize| stream.random_range(0..n as u64) as usize;
        let choices = &by_image[image];
        let caption = choices[pick(choices.len())];
        let instruction = INSTRUCTIONS[pick(INSTRUCTIONS.len())];
        let name = RowName {
            file: Arc::clone(file),
            place: Place::Key(image.to_owned()),
            id: format!("{image}#{}", caption.index),
        };
        let conversation = Conversation {
            id: format!("caption-{image}"),
            image: Some(image.to_owned()),
            turns: vec![
                Turn::human(with_image(instruction)),
                Turn::gpt(caption.text.trim()),
            ],
        };
        Row {
            name,
            made: Ok(conversation),
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_image_gets_one_of_its_own_captions() {
        let captions: Vec<Caption> = (0..40)
            .flat_map(|image| {
                (0..5).map(move |index| Caption {
                    image: format!("{image}.jpg"),
                    index,
                    text: format!("picture {image} caption {index} ."),
                })
            })
            .collect();
        let rows = |seed| -> Vec<Conversation> {
            let file = SourceFile::new(Path::new("captions.token"));
            let rows = flickr30k(&file, &captions, seed).into_iter();
            rows.map(|row| row.made.unwrap()).collect()
        };
        let (first, rows, other) = (rows(3), rows(3), rows(4));
        assert_eq!(rows.len(), 40);
        for (image, row) in rows.iter().enumerate() {
            assert_eq!(row.image, Some(format!("{image}.jpg")));
            let said = &row.turns[1].value;
            assert!(
                said.starts_with(&format!("picture {image} caption ")),
                "{said}"
            );
            assert_eq!(row.n_placeholders(), 1);
        }
        let asked = |i: usize| rows[i].turns[0].value.as_str();
        assert!((1..40).any(|i| asked(i) != asked(0)));
        assert_eq!(rows, first);
        assert_ne!(rows, other);
    }
}
