//! Writes a contact sheet: every kind in every colour, then one sample scene after the other.
//!
//! ```text
//! cargo run --release -p candor-world --example contact_sheet -- OUT_DIR [CELL_PX]
//! ```
//!
//! `OUT_DIR/kinds.png` has one row per colour and one column per kind; `OUT_DIR/scenes.png` shows scenes in
//! full size, `OUT_DIR/scenes_small.png` the same scenes as a model sees them, `CELL_PX` (default 12) pixels
//! per grid cell, enlarged again so that they can be looked at.

use std::path::Path;

use candor_world::scene::{Object, Scene, Split};
use candor_world::{Cell, Colour, Kind, Size, Theme, World, WorldConfig, render};
use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args
        .next()
        .ok_or("usage: contact_sheet OUT_DIR [CELL_PX]")?;
    let cell_px: u32 = args.next().map_or(Ok(12), |text| text.parse())?;
    let out = Path::new(&out);
    std::fs::create_dir_all(out)?;
    let config = WorldConfig {
        n_train: 24,
        n_preference: 0,
        n_rl: 0,
        ..WorldConfig::default()
    };
    let world = World::generate(&config)?;
    let scenes = &world.scenes()[..24];
    sheet(&kind_rows(), 4, 448, 448, FilterType::Lanczos3).save(out.join("kinds.png"))?;
    sheet(scenes, 6, 224, 224, FilterType::Lanczos3).save(out.join("scenes.png"))?;
    sheet(scenes, 6, 4 * cell_px, 224, FilterType::Nearest).save(out.join("scenes_small.png"))?;
    for scene in scenes {
        let objects: Vec<String> = scene
            .objects
            .iter()
            .map(|o| {
                format!(
                    "{} {} {} {}",
                    o.size.name(),
                    o.colour,
                    o.kind,
                    o.cell.place()
                )
            })
            .collect();
        println!("{}: {}: {}", scene.image, scene.theme, objects.join(", "));
    }
    Ok(())
}

/// Eight scenes with all sixteen kinds each, one colour and theme a scene.
fn kind_rows() -> Vec<Scene> {
    let themes = Theme::ALL.into_iter();
    themes
        .zip(Colour::ALL)
        .map(|(theme, colour)| Scene {
            id: 1,
            image: String::new(),
            split: Split::Train,
            theme,
            texture: theme as u64,
            noise: WorldConfig::default().noise,
            clutter: 0.0,
            objects: Kind::ALL
                .into_iter()
                .enumerate()
                .map(|(index, kind)| Object {
                    kind,
                    colour,
                    size: Size::Large,
                    cell: Cell::at(index),
                    offset: [0.0, 0.0],
                    visibility: 1.0,
                    cover: None,
                })
                .collect(),
        })
        .collect()
}

/// Scenes side by side, seen at `seen_px` and shown at `shown_px`.
fn sheet(
    scenes: &[Scene],
    columns: u32,
    seen_px: u32,
    shown_px: u32,
    enlarge: FilterType,
) -> RgbImage {
    let rows = (scenes.len() as u32).div_ceil(columns);
    let step = shown_px + 6;
    let mut sheet = RgbImage::from_pixel(columns * step, rows * step, Rgb([255, 255, 255]));
    for (index, scene) in scenes.iter().enumerate() {
        let index = index as u32;
        let full = render::render(scene, shown_px);
        let image = if seen_px == shown_px {
            full
        } else {
            let seen = resize(&full, seen_px, seen_px, FilterType::CatmullRom);
            resize(&seen, shown_px, shown_px, enlarge)
        };
        let (x, y) = (index % columns * step, index / columns * step);
        replace(&mut sheet, &image, i64::from(x), i64::from(y));
    }
    sheet
}
