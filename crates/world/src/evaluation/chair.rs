//! Images to caption, with COCO captions and instances as CHAIR reads them; also the grounding file.

use candor_data::formats::coco::{Caption, Captions, Category, Image, Instance, Instances};
use candor_data::random::stream;

use crate::kind::Kind;
use crate::scene::Scene;
use crate::text::caption;

/// Images to caption.
pub const N_SCENES: usize = 150;

/// Five true captions of each scene.
#[must_use]
pub fn captions(seed: u64, scenes: &[Scene], px: u32) -> Captions {
    let annotations = scenes.iter().flat_map(|scene| {
        let rng = &mut stream(seed, "world.captions", &[scene.id]);
        let said = caption::facts(scene, rng);
        said.into_iter()
            .map(|text| (scene.id, text))
            .collect::<Vec<_>>()
    });
    let annotations = annotations
        .zip(1..)
        .map(|((image_id, caption), id)| Caption {
            id,
            image_id,
            caption,
        });
    Captions {
        images: images(scenes, px),
        annotations: annotations.collect(),
    }
}

/// Every object of every scene with its box, and colour and size as attributes.
#[must_use]
pub fn instances(scenes: &[Scene], px: u32) -> Instances {
    let objects = scenes
        .iter()
        .flat_map(|scene| scene.objects.iter().map(move |object| (scene.id, object)));
    let annotations = objects.zip(1..).map(|((image_id, object), id)| {
        let bbox = object.bbox(px as f32).map(tenths);
        Instance {
            id,
            image_id,
            category_id: object.kind.index() as u64 + 1,
            bbox,
            area: Some(tenths((bbox[2] * bbox[3]) as f32)),
            iscrowd: Some(0),
            attributes: vec![
                object.colour.name().to_owned(),
                object.size.name().to_owned(),
            ],
        }
    });
    Instances {
        images: images(scenes, px),
        categories: Kind::ALL.into_iter().map(category).collect(),
        annotations: annotations.collect(),
    }
}

fn images(scenes: &[Scene], px: u32) -> Vec<Image> {
    let image = |scene: &Scene| Image {
        id: scene.id,
        file_name: scene.image.clone(),
        width: Some(px),
        height: Some(px),
    };
    scenes.iter().map(image).collect()
}

fn category(kind: Kind) -> Category {
    Category {
        id: kind.index() as u64 + 1,
        name: kind.name().to_owned(),
        supercategory: Some(
            kind.group()
                .map_or("thing", super::super::kind::Group::name)
                .to_owned(),
        ),
    }
}

/// The number with one decimal, so that the file stays small.
fn tenths(value: f32) -> f64 {
    (f64::from(value) * 10.0).round() / 10.0
}
