//! The eight grounds: pale and muted, so that the objects' strong colours stand out, and each with forms
//! of its own, so that the theme can be seen.

use tiny_skia::PathBuilder;

use super::{Brush, UNITS};
use crate::theme::Theme;

/// Paints the whole image with the theme's ground.
pub(super) fn paint(brush: &mut Brush<'_>, theme: Theme) {
    match theme {
        Theme::Beach => beach(brush),
        Theme::Bedroom => bedroom(brush),
        Theme::Garden => garden(brush),
        Theme::Harbor => harbor(brush),
        Theme::Kitchen => kitchen(brush),
        Theme::Office => office(brush),
        Theme::Park => park(brush),
        Theme::Street => street(brush),
    }
}

/// A band over the whole width.
fn band(brush: &mut Brush<'_>, top: f32, bottom: f32, rgb: [u8; 3]) {
    brush.rect(0.0, top, UNITS, bottom - top, rgb);
}

/// A zigzag of soft waves across the image.
fn wave(brush: &mut Brush<'_>, y: f32, rgb: [u8; 3]) {
    let mut path = PathBuilder::new();
    path.move_to(0.0, y);
    for step in 0..8 {
        let x = step as f32 * 28.0;
        path.quad_to(x + 7.0, y - 5.0, x + 14.0, y);
        path.quad_to(x + 21.0, y + 5.0, x + 28.0, y);
    }
    if let Some(path) = path.finish() {
        brush.stroke(&path, rgb, 255, 2.5);
    }
}

fn cloud(brush: &mut Brush<'_>, x: f32, y: f32) {
    for (dx, dy, r) in [(0.0, 0.0, 9.0), (11.0, -4.0, 11.0), (23.0, 0.0, 9.0)] {
        brush.circle(x + dx, y + dy, r, [240, 246, 250], 255);
    }
}

fn hill(brush: &mut Brush<'_>, start: f32, peak: f32, end: f32, y: f32, rgb: [u8; 3]) {
    let mut path = PathBuilder::new();
    path.move_to(start, UNITS);
    path.quad_to(peak, y, end, UNITS);
    path.close();
    if let Some(path) = path.finish() {
        brush.fill(&path, rgb, 255);
    }
}

fn beach(brush: &mut Brush<'_>) {
    band(brush, 0.0, 78.0, [196, 226, 244]);
    brush.circle(192.0, 28.0, 17.0, [252, 238, 170], 255);
    cloud(brush, 30.0, 26.0);
    band(brush, 78.0, 118.0, [132, 190, 214]);
    wave(brush, 92.0, [176, 214, 230]);
    wave(brush, 106.0, [176, 214, 230]);
    band(brush, 118.0, UNITS, [236, 216, 168]);
    for (x, y) in [
        (30.0, 150.0),
        (96.0, 134.0),
        (150.0, 176.0),
        (60.0, 204.0),
        (200.0, 146.0),
    ] {
        brush.circle(x, y, 2.5, [214, 190, 140], 255);
    }
}

fn bedroom(brush: &mut Brush<'_>) {
    band(brush, 0.0, 136.0, [232, 214, 224]);
    for stripe in 0..8 {
        brush.rect(
            stripe as f32 * 28.0 + 8.0,
            0.0,
            10.0,
            136.0,
            [222, 200, 212],
        );
    }
    band(brush, 136.0, UNITS, [196, 170, 142]);
    for y in [158.0, 180.0, 202.0] {
        band(brush, y, y + 2.0, [176, 150, 122]);
    }
    // The bed: headboard, mattress, pillow.
    brush.rect(52.0, 92.0, 120.0, 30.0, [168, 140, 116]);
    brush.rect(58.0, 116.0, 108.0, 70.0, [214, 220, 234]);
    brush.rect(58.0, 142.0, 108.0, 48.0, [182, 194, 220]);
    brush.rect(78.0, 108.0, 68.0, 22.0, [242, 242, 246]);
}

fn garden(brush: &mut Brush<'_>) {
    band(brush, 0.0, 88.0, [206, 230, 242]);
    band(brush, 62.0, 70.0, [208, 196, 178]);
    for plank in 0..10 {
        brush.rect(plank as f32 * 23.0 + 3.0, 36.0, 15.0, 66.0, [222, 210, 190]);
    }
    band(brush, 88.0, UNITS, [172, 208, 148]);
    for row in [142.0, 192.0] {
        brush.rect(10.0, row, 204.0, 12.0, [160, 132, 104]);
        for spot in 0..9 {
            let x = 20.0 + spot as f32 * 23.0;
            let petals = if spot % 2 == 0 {
                [236, 190, 204]
            } else {
                [238, 226, 176]
            };
            brush.rect(x - 1.0, row - 6.0, 2.0, 8.0, [120, 168, 104]);
            brush.circle(x, row - 8.0, 4.0, petals, 255);
        }
    }
}

fn harbor(brush: &mut Brush<'_>) {
    band(brush, 0.0, 54.0, [214, 224, 232]);
    cloud(brush, 150.0, 22.0);
    band(brush, 54.0, 172.0, [120, 166, 192]);
    for y in [70.0, 92.0, 114.0, 136.0, 158.0] {
        wave(brush, y, [150, 190, 210]);
    }
    // The pier: posts, then planks.
    for x in [18.0, 102.0, 186.0] {
        brush.rect(x, 156.0, 14.0, 50.0, [126, 108, 92]);
    }
    band(brush, 172.0, UNITS, [172, 148, 124]);
    for plank in 0..9 {
        brush.rect(plank as f32 * 26.0, 172.0, 2.5, 52.0, [144, 122, 100]);
    }
}

fn kitchen(brush: &mut Brush<'_>) {
    band(brush, 0.0, 128.0, [214, 232, 228]);
    for line in 0..8 {
        let at = line as f32 * 28.0;
        brush.rect(at, 0.0, 2.0, 128.0, [190, 212, 208]);
        if at < 128.0 {
            band(brush, at, at + 2.0, [190, 212, 208]);
        }
    }
    // The counter over a checkered floor.
    band(brush, 112.0, 126.0, [186, 166, 144]);
    band(brush, 126.0, 150.0, [222, 208, 190]);
    for row in 0..3_u8 {
        for col in 0..8_u8 {
            let rgb = if (row + col) % 2 == 0 {
                [228, 226, 216]
            } else {
                [184, 190, 188]
            };
            let (x, y) = (f32::from(col) * 28.0, 150.0 + f32::from(row) * 25.0);
            brush.rect(x, y, 28.0, 25.0, rgb);
        }
    }
}

fn office(brush: &mut Brush<'_>) {
    band(brush, 0.0, 132.0, [206, 212, 222]);
    // A window with blinds.
    brush.rect(122.0, 14.0, 88.0, 72.0, [168, 176, 188]);
    brush.rect(127.0, 19.0, 78.0, 62.0, [222, 234, 242]);
    for slat in 0..6 {
        brush.rect(127.0, 24.0 + slat as f32 * 10.0, 78.0, 4.0, [188, 198, 208]);
    }
    // A board with notes.
    brush.rect(14.0, 20.0, 80.0, 56.0, [190, 184, 170]);
    for (x, y) in [(22.0, 28.0), (50.0, 32.0), (70.0, 50.0), (28.0, 52.0)] {
        brush.rect(x, y, 16.0, 14.0, [232, 230, 216]);
    }
    // The desk.
    band(brush, 132.0, 150.0, [164, 142, 122]);
    band(brush, 150.0, UNITS, [188, 168, 148]);
    brush.rect(16.0, 162.0, 64.0, 48.0, [172, 152, 132]);
    brush.rect(144.0, 162.0, 64.0, 48.0, [172, 152, 132]);
    band(brush, 218.0, UNITS, [150, 154, 164]);
}

fn park(brush: &mut Brush<'_>) {
    band(brush, 0.0, UNITS, [202, 230, 240]);
    cloud(brush, 120.0, 24.0);
    cloud(brush, 22.0, 44.0);
    hill(brush, -90.0, 60.0, 210.0, -40.0, [176, 212, 166]);
    hill(brush, 60.0, 190.0, 320.0, -30.0, [164, 204, 152]);
    band(brush, 122.0, UNITS, [150, 194, 134]);
    // A winding path.
    let mut path = PathBuilder::new();
    path.move_to(130.0, 122.0);
    path.quad_to(60.0, 150.0, 130.0, 176.0);
    path.quad_to(180.0, 200.0, 120.0, 224.0);
    if let Some(path) = path.finish() {
        brush.stroke(&path, [220, 208, 180], 255, 18.0);
    }
    for (x, y) in [
        (24.0, 146.0),
        (46.0, 190.0),
        (196.0, 150.0),
        (206.0, 204.0),
        (84.0, 210.0),
    ] {
        brush.rect(x, y, 2.0, 7.0, [118, 166, 104]);
        brush.rect(x + 4.0, y + 1.0, 2.0, 6.0, [118, 166, 104]);
    }
}

fn street(brush: &mut Brush<'_>) {
    band(brush, 0.0, 126.0, [208, 220, 230]);
    for (x, top, width, rgb) in [
        (0.0, 34.0, 52.0, [188, 178, 176]),
        (52.0, 12.0, 46.0, [172, 178, 188]),
        (112.0, 44.0, 58.0, [194, 184, 170]),
        (170.0, 20.0, 54.0, [178, 172, 184]),
    ] {
        brush.rect(x, top, width, 126.0 - top, rgb);
        for row in 0..4 {
            for col in 0..3 {
                let (wx, wy) = (x + 7.0 + col as f32 * 14.0, top + 8.0 + row as f32 * 18.0);
                if wy < 108.0 && wx + 8.0 < x + width {
                    brush.rect(wx, wy, 8.0, 10.0, [220, 224, 222]);
                }
            }
        }
    }
    band(brush, 118.0, 134.0, [198, 196, 190]);
    band(brush, 134.0, UNITS, [142, 144, 150]);
    for dash in 0..5 {
        brush.rect(dash as f32 * 50.0 + 6.0, 176.0, 28.0, 5.0, [226, 224, 210]);
    }
}
