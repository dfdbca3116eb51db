//! From the size of an image to the number of its tokens, as a header gives it, with bounds on pixels as a recipe gives
//! them: which model, width, height, least and most pixels.
//!
//! A count has a bound, the sides are those of whole tokens, and the tower makes as many tokens as were counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ::image::RgbImage;
use candor_data::image::{ImageLimits, ImageProcessor, ImageSize, NativeProcessor, PixelBounds};
use candor_model::Bundle;
use candor_model::image_features::encode;
use tch::{Device, Kind};

use crate::golden::of_crate;

/// Qwen2.5-VL, Qwen2-VL, Qwen3-VL, LLaVA-NeXT and LLaVA-OneVision; `fuzz/seeds` has them in the same order.
pub(crate) const MODELS: [&str; 5] = [
    "qwen/folders/published",
    "qwen/folders/current",
    "qwen/folders/deep",
    "tiled/folders/vicuna",
    "tiled/folders/onevision",
];

/// One side may be so many times the other, as transformers has it.
const LARGEST_RATIO: u32 = 200;
/// What is more than this is counted and not shown to a tower.
const MOST_SHOWN: usize = 1 << 17;
/// Of images in tiles, each of which takes long, one of so many is shown.
const EVERY_TILED: usize = 64;

thread_local! {
    static OPENED: RefCell<BTreeMap<usize, Rc<Bundle>>> = const { RefCell::new(BTreeMap::new()) };
}

fn opened(which: usize) -> Rc<Bundle> {
    OPENED.with_borrow_mut(|opened| {
        let open = || {
            let folder = of_crate("model").join(MODELS[which]);
            let bundle = Bundle::open(&folder, Device::Cpu, Kind::Float).expect("a golden model");
            bundle.model.set_trainable(|_| false);
            Rc::new(bundle)
        };
        Rc::clone(opened.entry(which).or_insert_with(open))
    })
}

/// Counts, and compares with what the tower gives where that is small.
///
/// # Panics
/// A count is over its bound, or not what the tower gives.
pub fn count(content: &[u8]) -> bool {
    let Some((input, _)) = content.split_first_chunk::<17>() else {
        return false;
    };
    let number = |at: usize| {
        let bytes = [input[at], input[at + 1], input[at + 2], input[at + 3]];
        u32::from_le_bytes(bytes)
    };
    let bundle = opened(usize::from(input[0]) % MODELS.len());
    let size = ImageSize {
        width: number(1),
        height: number(5),
    };
    // What has none or more is refused by its header.
    let allowed = 1..=ImageLimits::default().max_pixels;
    if !allowed.contains(&(u64::from(size.width) * u64::from(size.height))) {
        return false;
    }
    // Others are refused as mistakes where a recipe is read.
    let bounds = 1..=PixelBounds::MOST;
    let [min, max] = [9, 13].map(|at| Some(number(at)).filter(|pixels| bounds.contains(pixels)));
    let Ok(processor) = bundle.processor.clone().within(PixelBounds { min, max }) else {
        return false;
    };
    let Ok(counted) = processor.size_of(size) else {
        let [short, long] = [size.width.min(size.height), size.width.max(size.height)];
        assert!(long / LARGEST_RATIO >= short, "{size:?} is refused");
        return false;
    };
    let n_tokens = bundle.model.config().n_image_tokens(counted);
    let is_shown = match &processor {
        ImageProcessor::Native(native) => {
            check_native(native, counted, n_tokens);
            counted.n_pixels() <= MOST_SHOWN
        }
        _ => {
            // Five views of 27 x 27 places at most, and an end for each line of three views.
            assert!((1..=5 * 27 * 27 + 3 * 27).contains(&n_tokens), "{n_tokens}");
            size.n_pixels() % EVERY_TILED == 0
        }
    };
    if is_shown && size.n_pixels() <= MOST_SHOWN {
        let image = RgbImage::new(size.width, size.height);
        let fitted = processor.fit(&image).expect("its size is taken");
        let features = tch::no_grad(|| encode(&bundle, &[fitted]));
        assert_eq!(features[0].n_tokens(), n_tokens, "{size:?}");
        let span = features[0].spans()[0];
        assert_eq!(features[0].rows().size()[0], span.n_rows, "{size:?}");
    }
    true
}

/// Sides of whole tokens, and no larger than the bounds make them.
fn check_native(native: &NativeProcessor, fitted: ImageSize, n_tokens: usize) {
    let token = u64::from(native.token_side());
    let sides = [fitted.width, fitted.height].map(u64::from);
    assert!(
        sides.iter().all(|side| *side >= token && side % token == 0),
        "{fitted:?}"
    );
    assert_eq!(n_tokens as u64, sides[0] / token * (sides[1] / token));
    // Within the most pixels, or a token more along each side, where the other is up to sqrt(200 max) pixels long.
    let max = u64::from(native.max_pixels.max(native.min_pixels));
    let longest = (u64::from(LARGEST_RATIO) * max).isqrt() + 1;
    let bound = max + 2 * token * longest + token * token;
    assert!(fitted.n_pixels() as u64 <= bound, "{fitted:?} for {max}");
}
