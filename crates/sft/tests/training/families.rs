//! Models of every family that can be made anew: they learn to see, open as any model folder does, and are fine-tuned.

use std::fs;

use candor_data::image::ImageSize;
use candor_data::{Conversation, Turn};
use candor_model::export::Export;
use candor_model::{Bundle, CheckpointFormat, ModelConfig, ModelFolder, Template};
use candor_sft::{GroundRecipe, SftError, ground};
use candor_testing::images::paint;
use candor_testing::run::launch;
use tch::{Device, Kind};

use crate::tiny::{GROUND, grounded, prepared, reader, sft};
use crate::{losses, out};

const FAMILIES: [(&str, &[&str]); 2] = [
    (
        "Qwen2.5-VL",
        &[
            "model.family=qwen2_5_vl",
            "model.vision.patch_size=4",
            "model.vision.feature_layer=-1",
            "model.vision.window_size=8",
            "model.vision.whole_every=2",
            "model.text.rope_theta=30",
        ],
    ),
    (
        "Qwen3-VL",
        &[
            "model.family=qwen3_vl",
            "model.vision.patch_size=4",
            "model.vision.feature_layer=-1",
            "model.vision.deep_blocks=1",
            "model.text.rope_theta=100",
        ],
    ),
];

#[test]
fn a_fresh_qwen_vl_is_opened_and_fine_tuned_as_any_other() {
    let folder = prepared();
    let path = folder.path();
    for (family, sets) in FAMILIES {
        let grounded_out = out(path, family);
        let sets: Vec<&str> = sets
            .iter()
            .copied()
            .chain([grounded_out.as_str()])
            .collect();
        grounded(Device::Cpu, path, &sets);
        let model = path.join(family).join("model");
        let bundle = Bundle::open(&model, Device::Cpu, Kind::Float).unwrap();
        assert_eq!(bundle.model.config().family(), family);
        let ModelConfig::Qwen(config) = bundle.model.config() else {
            panic!("{family} is no Qwen");
        };
        // Of the two blocks the first one's output goes into the decoder as well; a tower with windows has no such.
        let is_deep = family == "Qwen3-VL";
        assert_eq!(
            config.vision.deep,
            if is_deep { vec![0] } else { Vec::new() }
        );
        let asked = Conversation {
            id: "x".to_owned(),
            image: Some("x.png".to_owned()),
            turns: vec![Turn::human("<image>\nWhat color is it?")],
        };
        assert_eq!(
            bundle.template.render(&asked).unwrap().text,
            "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What color is it?<|im_end|>\n\
             <|im_start|>assistant\n"
        );
        // Others find the template as Jinja beside what is exported, and it says the same.
        let exported = path.join(format!("{family}-exported"));
        let export = Export {
            model: ModelFolder::find(&model).unwrap(),
            adapter: None,
            checkpoint_format: CheckpointFormat::HuggingFace,
            kind: None,
        };
        export.write(&exported, Device::Cpu).unwrap();
        fs::remove_file(exported.join("template.json")).unwrap();
        let jinja = Template::of_folder(&exported).unwrap();
        let answered = Conversation {
            turns: [asked.turns.clone(), vec![Turn::gpt("Red.")]].concat(),
            ..asked
        };
        assert_eq!(
            jinja.render(&answered).unwrap(),
            bundle.template.render(&answered).unwrap()
        );
        // An image of 16 pixels in tokens of 8.
        let [width, height] = [16, 16];
        let n_tokens = bundle
            .model
            .config()
            .n_image_tokens(ImageSize { width, height });
        assert_eq!(n_tokens, 4);
        let tuned = format!("{family}-sft");
        let base = format!("model.base={:?}", model.display().to_string());
        sft(path, &[&out(path, &tuned), &base, "run.steps=40"]).unwrap();
        let losses = losses(&path.join(tuned));
        assert!(losses[39] < 0.5 * losses[0], "{family}: {losses:?}");
    }
}

#[test]
fn an_image_that_does_not_become_the_square_is_named() {
    let folder = prepared();
    let path = folder.path();
    // The instances say that it is a square.
    paint(&path.join("red.png"), [40, 16], [220, 30, 30]);
    let (_, sets) = FAMILIES[1];
    let grounded_out = out(path, "wide");
    let sets: Vec<&str> = sets
        .iter()
        .copied()
        .chain([grounded_out.as_str()])
        .collect();
    let recipe = GroundRecipe::read(reader(GROUND, path, &["data.root", "run.out"], &sets));
    let error = ground::run(&recipe.unwrap(), &launch(false), Device::Cpu).unwrap_err();
    let (file, problem) = match error {
        SftError::Unfit { path, problem, .. } => (path, problem),
        other => panic!("{other}"),
    };
    assert_eq!(file, path.join("red.png"));
    assert!(problem.ends_with("is asked of 16 x 16"), "{problem}");
}
