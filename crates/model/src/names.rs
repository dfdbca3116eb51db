//! What tensors are called: in every kind of file, and here.
//!
//! candor's names are those of Hugging Face's `LlavaForConditionalGeneration` before transformers 4.52, which most
//! published checkpoints have: `vision_tower.vision_model.…`, `multi_modal_projector.…`, `language_model.model.…` and
//! `language_model.lm_head.weight`.

/// How the names in one kind of file become candor's.
#[derive(Debug)]
pub(crate) struct Names {
    /// What a name begins with in the file, and here. The first that fits counts.
    renamed: &'static [(&'static str, &'static str)],
    /// What the names of tensors begin with that no LLaVA needs.
    not_needed: &'static [&'static str],
}

/// Hugging Face's LLaVA: as published, as transformers 5 writes it, and as it is in memory.
#[rustfmt::skip] // A table, a name a line.
pub(crate) const HUGGING_FACE: Names = Names {
    renamed: &[
        ("language_model.model.", "language_model.model."),
        ("language_model.lm_head.", "language_model.lm_head."),
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("image_newline", "image_newline"),
        ("model.image_newline", "image_newline"),
        ("multi_modal_projector.", "multi_modal_projector."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("vision_tower.vision_model.", "vision_tower.vision_model."),
        ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("vision_tower.", "vision_tower.vision_model."),
    ],
    not_needed: &[],
};

/// Qwen-VL: as transformers 5 has them in memory, and as the hub's files spell them.
#[rustfmt::skip] // A table, a name a line.
pub(crate) const QWEN: Names = Names {
    renamed: &[
        ("model.visual.deepstack_merger_list.", "multi_modal_projector.deepstack."),
        ("model.visual.merger.", "multi_modal_projector."),
        ("model.visual.", "vision_tower."),
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("visual.deepstack_merger_list.", "multi_modal_projector.deepstack."),
        ("visual.merger.", "multi_modal_projector."),
        ("visual.", "vision_tower."),
        ("model.", "language_model.model."),
    ],
    not_needed: &[],
};

/// The original LLaVA: a LLaMA with a projector, and perhaps the tower, beside its layers.
#[rustfmt::skip] // A table, a name a line.
pub(crate) const ORIGINAL: Names = Names {
    renamed: &[
        ("model.vision_tower.vision_tower.vision_model.", "vision_tower.vision_model."),
        ("model.mm_projector.0.", "multi_modal_projector.linear_1."),
        ("model.mm_projector.2.", "multi_modal_projector.linear_2."),
        ("model.mm_projector.", "multi_modal_projector.linear."),
        ("lm_head.", "language_model.lm_head."),
        ("model.", "language_model.model."),
    ],
    not_needed: &[],
};

/// A CLIP of its own: both halves, or the half that sees, as older and newer versions of transformers write it.
#[rustfmt::skip] // A table, a name a line.
pub(crate) const CLIP: Names = Names {
    renamed: &[
        ("vision_model.", "vision_tower.vision_model."),
        ("embeddings.", "vision_tower.vision_model.embeddings."),
        ("pre_layrnorm.", "vision_tower.vision_model.pre_layrnorm."),
        ("encoder.", "vision_tower.vision_model.encoder."),
        ("post_layernorm.", "vision_tower.vision_model.post_layernorm."),
    ],
    not_needed: &["text_model.", "text_projection.", "visual_projection.", "logit_scale"],
};

/// A projector of its own: as the original LLaVA's first stage saves it, with or without what a wrapper puts before its
/// names, as a torch module saves itself, and candor's.
#[rustfmt::skip] // A table, a name a line.
pub(crate) const PROJECTOR: Names = Names {
    renamed: &[
        ("model.mm_projector.0.", "multi_modal_projector.linear_1."),
        ("model.mm_projector.2.", "multi_modal_projector.linear_2."),
        ("model.mm_projector.", "multi_modal_projector.linear."),
        ("base_model.model.model.mm_projector.0.", "multi_modal_projector.linear_1."),
        ("base_model.model.model.mm_projector.2.", "multi_modal_projector.linear_2."),
        ("base_model.model.model.mm_projector.", "multi_modal_projector.linear."),
        ("mm_projector.0.", "multi_modal_projector.linear_1."),
        ("mm_projector.2.", "multi_modal_projector.linear_2."),
        ("mm_projector.", "multi_modal_projector.linear."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("multi_modal_projector.", "multi_modal_projector."),
        ("linear", "multi_modal_projector.linear"),
        ("0.", "multi_modal_projector.linear_1."),
        ("2.", "multi_modal_projector.linear_2."),
        ("weight", "multi_modal_projector.linear.weight"),
        ("bias", "multi_modal_projector.linear.bias"),
    ],
    not_needed: &[],
};

/// A scalar head: candor's own, and as a torch module saves itself, alone or as a part of a model.
#[rustfmt::skip] // A table, a name a line.
pub(crate) const HEAD: Names = Names {
    renamed: &[
        ("head.", "head."),
        ("reward_head.", "head."),
        ("value_head.", "head."),
        ("weight", "head.weight"),
        ("bias", "head.bias"),
    ],
    not_needed: &[],
};

/// Buffers that older versions saved, by the end of their names; they follow from the configuration.
const BUFFERS: [&str; 2] = ["rotary_emb.inv_freq", "embeddings.position_ids"];

impl Names {
    /// candor's name of a tensor, the name itself where nothing is known about it, or none where it is not needed.
    pub(crate) fn here(&self, in_file: &str) -> Option<String> {
        let not_needed = self
            .not_needed
            .iter()
            .any(|start| in_file.starts_with(start))
            || BUFFERS.iter().any(|end| in_file.ends_with(end));
        if not_needed {
            return None;
        }
        let renamed = self.renamed.iter().find_map(|(there, here)| {
            let rest = in_file.strip_prefix(there)?;
            Some(format!("{here}{rest}"))
        });
        Some(renamed.unwrap_or_else(|| in_file.to_owned()))
    }

    /// What the tensor called `here` is called in a file of candor's.
    pub(crate) fn written(&self, here: &str) -> String {
        self.in_file(here, &[here])
    }

    /// What the tensor called `here` should be called in a file that has the names `present`: as its neighbours are
    /// spelled, where there are any.
    pub(crate) fn in_file(&self, here: &str, present: &[&str]) -> String {
        let spellings = self.renamed.iter().filter_map(|(there, prefix)| {
            let rest = here.strip_prefix(prefix)?;
            Some((*there, format!("{there}{rest}")))
        });
        let used = |there: &str| present.iter().any(|name| name.starts_with(there));
        let found = spellings.clone().find(|(there, _)| used(there));
        let spelled = found.or_else(|| spellings.clone().next());
        spelled.map_or_else(|| here.to_owned(), |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_maps_to_one_name() {
        let cases: [(&Names, &str, &str); 22] = [
            (
                &HUGGING_FACE,
                "language_model.model.norm.weight",
                "language_model.model.norm.weight",
            ),
            (
                &HUGGING_FACE,
                "model.language_model.norm.weight",
                "language_model.model.norm.weight",
            ),
            (
                &HUGGING_FACE,
                "lm_head.weight",
                "language_model.lm_head.weight",
            ),
            (
                &HUGGING_FACE,
                "language_model.lm_head.weight",
                "language_model.lm_head.weight",
            ),
            (
                &HUGGING_FACE,
                "model.multi_modal_projector.linear_1.bias",
                "multi_modal_projector.linear_1.bias",
            ),
            (
                &HUGGING_FACE,
                "vision_tower.vision_model.post_layernorm.bias",
                "vision_tower.vision_model.post_layernorm.bias",
            ),
            (
                &HUGGING_FACE,
                "model.vision_tower.post_layernorm.bias",
                "vision_tower.vision_model.post_layernorm.bias",
            ),
            (
                &ORIGINAL,
                "model.vision_tower.vision_tower.vision_model.embeddings.class_embedding",
                "vision_tower.vision_model.embeddings.class_embedding",
            ),
            (
                &ORIGINAL,
                "model.mm_projector.2.weight",
                "multi_modal_projector.linear_2.weight",
            ),
            (
                &ORIGINAL,
                "model.mm_projector.bias",
                "multi_modal_projector.linear.bias",
            ),
            (
                &ORIGINAL,
                "model.embed_tokens.weight",
                "language_model.model.embed_tokens.weight",
            ),
            (&ORIGINAL, "lm_head.weight", "language_model.lm_head.weight"),
            (
                &CLIP,
                "vision_model.pre_layrnorm.weight",
                "vision_tower.vision_model.pre_layrnorm.weight",
            ),
            (
                &CLIP,
                "pre_layrnorm.weight",
                "vision_tower.vision_model.pre_layrnorm.weight",
            ),
            (
                &PROJECTOR,
                "model.mm_projector.0.weight",
                "multi_modal_projector.linear_1.weight",
            ),
            (
                &PROJECTOR,
                "base_model.model.model.mm_projector.2.bias",
                "multi_modal_projector.linear_2.bias",
            ),
            (
                &PROJECTOR,
                "mm_projector.bias",
                "multi_modal_projector.linear.bias",
            ),
            (&PROJECTOR, "0.bias", "multi_modal_projector.linear_1.bias"),
            (
                &PROJECTOR,
                "linear_2.weight",
                "multi_modal_projector.linear_2.weight",
            ),
            (&HEAD, "head.weight", "head.weight"),
            (&HEAD, "weight", "head.weight"),
            (&HEAD, "value_head.bias", "head.bias"),
        ];
        for (names, in_file, here) in cases {
            assert_eq!(names.here(in_file).as_deref(), Some(here));
            assert_eq!(names.in_file(here, &[in_file]), in_file);
        }
    }

    #[test]
    fn mergers_of_qwen_are_told_apart_in_both_spellings() {
        for start in ["model.visual.", "visual."] {
            for (there, here) in [
                ("deepstack_merger_list.1.norm.bias", "deepstack.1.norm.bias"),
                ("merger.linear_fc1.bias", "linear_fc1.bias"),
            ] {
                let (there, here) = (
                    format!("{start}{there}"),
                    format!("multi_modal_projector.{here}"),
                );
                assert_eq!(QWEN.here(&there).as_deref(), Some(here.as_str()));
                assert_eq!(QWEN.in_file(&here, &[&there]), there);
            }
        }
    }

    #[test]
    fn what_no_model_needs_is_left_out_by_name() {
        for (names, in_file) in [
            (
                &HUGGING_FACE,
                "language_model.model.layers.0.self_attn.rotary_emb.inv_freq",
            ),
            (
                &HUGGING_FACE,
                "vision_tower.vision_model.embeddings.position_ids",
            ),
            (&CLIP, "text_model.final_layer_norm.bias"),
            (&CLIP, "logit_scale"),
        ] {
            assert_eq!(names.here(in_file), None, "{in_file}");
        }
        let unknown = "model.image_oldline";
        assert_eq!(HUGGING_FACE.here(unknown).as_deref(), Some(unknown));
    }
}
