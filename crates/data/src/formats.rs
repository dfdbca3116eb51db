//! The public file formats, one module each.
//!
//! Most modules have `read` and `write` for files, and `parse` and `render` for text; their `path` argument
//! then only names the text in messages. `write` refuses what `read` would refuse. What other tools alone write has no
//! `write`. Fields that a format
//! allows and candor has no use for are tolerated and dropped. `docs/formats.md` shows an example of each.

pub mod a_okvqa;
pub mod amber;
pub mod answer_sets;
pub mod answers;
pub mod candidates;
pub mod captions;
pub mod coco;
pub mod convert;
pub mod flickr30k;
pub mod folder;
pub mod hallusion_bench;
mod hub;
pub mod image_id;
pub mod images;
pub mod llava;
pub mod llava_bench;
pub mod mmbench;
pub mod mme;
pub mod mmhal;
pub mod object_hal_bench;
pub mod own_set;
pub(crate) mod parquet;
pub mod pope;
mod povid;
pub mod ppo_prompts;
pub mod preference;
pub mod preference_log;
pub mod ratings;
pub mod reward_bench;
pub(crate) mod rows;
pub mod scores;
mod sharegpt;
mod table;
pub mod text;
pub mod tools;
pub mod trl;
mod vlfeedback;
pub mod vqa_v2;

pub use image_id::{ImageId, ImageNames};
