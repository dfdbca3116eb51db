//! Keys of other trainers (transformers, TRL, PEFT, `DeepSpeed`, LLaVA's scripts), and what is here in their place.

use std::collections::BTreeSet;

use crate::survey::general;
use crate::tree::join;

/// Their names; the keys that are here for it, of which the stage has one; what to know.
type Renamed = (
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

const RENAMED: &[Renamed] = &[
    (
        &[
            "per_device_train_batch_size",
            "micro_batch_size",
            "mini_batch_size",
            "per_device_batch_size",
        ],
        &["data.micro_batch", "batch.micro_batch"],
        "the rows of a pass",
    ),
    (
        &[
            "gradient_accumulation_steps",
            "gradient_accumulation",
            "accumulate_grad_batches",
        ],
        &["data.batch", "batch.mini_batch"],
        "the rows of an update, which passes of `micro_batch` rows add up to",
    ),
    (
        &["train_batch_size", "global_batch_size", "batch_size"],
        &[
            "data.batch",
            "data.batch_images",
            "batch.mini_batch",
            "sampling.batch_rows",
            "answers.batch_rows",
        ],
        "",
    ),
    (
        &[
            "num_train_epochs",
            "num_epochs",
            "max_epochs",
            "n_epochs",
            "total_epochs",
        ],
        &["run.epochs"],
        "",
    ),
    (
        &["max_steps", "num_train_steps", "total_steps"],
        &["run.steps"],
        "",
    ),
    (
        &["save_steps", "save_freq", "save_interval"],
        &["run.checkpoint_every"],
        "in steps",
    ),
    (&["save_total_limit"], &["run.keep_checkpoints"], ""),
    (
        &["output_dir", "output_path", "save_path"],
        &["run.out"],
        "",
    ),
    (
        &["eval_steps", "eval_every"],
        &["evaluation.every"],
        "in steps",
    ),
    (&["early_stopping_patience"], &["evaluation.patience"], ""),
    (&["lr"], &["optimizer.learning_rate"], ""),
    (
        &["lr_scheduler_type", "lr_scheduler"],
        &["optimizer.schedule"],
        "",
    ),
    (
        &["adam_beta1", "betas"],
        &["optimizer.beta1"],
        "and `optimizer.beta2`",
    ),
    (&["adam_beta2"], &["optimizer.beta2"], ""),
    (&["adam_epsilon", "epsilon"], &["optimizer.eps"], ""),
    (
        &["clip_grad_norm", "gradient_clipping", "grad_clip"],
        &["optimizer.max_grad_norm"],
        "",
    ),
    (&["lora_r", "lora_rank", "rank"], &["model.lora.r"], ""),
    (&["lora_alpha"], &["model.lora.alpha"], ""),
    (
        &["lora_target_modules", "target_modules", "lora_target"],
        &["model.lora.targets"],
        "",
    ),
    (
        &[
            "lora_enable",
            "use_lora",
            "use_peft",
            "tune_mm_mlp_adapter",
            "freeze_backbone",
        ],
        &["model.tune"],
        "",
    ),
    (
        &[
            "load_in_4bit",
            "load_in_8bit",
            "bits",
            "quantization",
            "torch_dtype",
            "bf16",
            "fp16",
            "tf32",
            "precision",
            "mixed_precision",
        ],
        &["model.base_precision"],
        "what a frozen base is held in; what is trained is always in f32",
    ),
    (
        &["gradient_checkpointing"],
        &["model.activations"],
        "\"recompute\" is gradient checkpointing",
    ),
    (
        &[
            "model_name_or_path",
            "model_path",
            "pretrained",
            "base_model",
        ],
        &["model.base"],
        "",
    ),
    (
        &["reward_model_path", "reward_model_name_or_path"],
        &["model.reward"],
        "",
    ),
    (
        &["version", "conv_mode", "chat_template"],
        &["model.template"],
        "",
    ),
    (
        &[
            "model_max_length",
            "max_seq_length",
            "max_length",
            "cutoff_len",
        ],
        &["data.max_tokens"],
        "",
    ),
    (
        &["data_path", "train_file"],
        &["data.sources", "data.preferences", "data.prompts"],
        "",
    ),
    (&["dataset_path", "data_dir"], &["data.root"], ""),
    (&["image_folder", "image_dir"], &["data.images"], ""),
    (&["init_kl_coef", "kl_coef", "kl_penalty"], &["kl.coef"], ""),
    (&["cliprange", "clip_ratio"], &["loss.clip_range"], ""),
    (&["cliprange_value"], &["loss.value_clip_range"], ""),
    (&["vf_coef"], &["loss.value_coef"], ""),
    (&["lam", "lambda"], &["advantages.gae_lambda"], ""),
    (
        &["ppo_epochs", "noptepochs", "num_ppo_epochs"],
        &["batch.inner_epochs"],
        "",
    ),
    (&["rollout_batch_size"], &["batch.rollout_batch"], ""),
    (
        &["max_new_token", "response_length", "max_length_generation"],
        &["sampling.max_new_tokens", "answers.max_new_tokens"],
        "",
    ),
    (
        &["resume_from_checkpoint"],
        &["run.out"],
        "a run there is continued with --resume",
    ),
];

/// What has no place here, and why.
const ABSENT: &[(&[&str], &str)] = &[
    (
        &[
            "deepspeed",
            "fsdp",
            "fsdp_config",
            "zero_stage",
            "ddp",
            "local_rank",
            "tensor_parallel_size",
            "n_gpus",
            "num_processes",
            "device_map",
        ],
        "ranks share a run (docs/many-devices.md); `run.shard` shares out the optimizer and, in sft, the weights",
    ),
    (
        &["optimizer.name", "optimizer.type", "optim", "optimizer"],
        "the optimizer is AdamW, and there is no other",
    ),
    (
        &["amsgrad", "momentum", "nesterov"],
        "the optimizer is AdamW, and there is no other",
    ),
    (
        &["lora_dropout", "dropout", "attention_dropout"],
        "there is no dropout",
    ),
    (
        &["lora_bias", "bias", "use_rslora", "use_dora"],
        "a fresh adapter is plain LoRA",
    ),
    (
        &[
            "report_to",
            "logging_steps",
            "logging_dir",
            "wandb",
            "wandb_project",
            "tensorboard",
        ],
        "every step is written to metrics.jsonl and for TensorBoard, in the run folder; `candor watch --mlflow` sends it on",
    ),
    (
        &[
            "attn_implementation",
            "flash_attn",
            "use_flash_attn",
            "torch_compile",
            "use_liger_kernel",
        ],
        "kernels are libtorch's own choice",
    ),
    (
        &[
            "dataloader_num_workers",
            "num_workers",
            "dataloader_pin_memory",
            "group_by_length",
            "group_by_modality_length",
            "packing",
        ],
        "data is read once before the first step, and batches are made by length",
    ),
    (
        &["top_k", "repetition_penalty", "num_beams"],
        "answers are drawn by temperature alone",
    ),
    (
        &[
            "remove_unused_columns",
            "push_to_hub",
            "do_train",
            "do_eval",
            "overwrite_output_dir",
        ],
        "nothing here does that",
    ),
];

/// What to do about a key of this name, if another trainer has it.
pub(crate) fn remedy(table: &str, name: &str, asked: &BTreeSet<String>) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let key = join(table, &name);
    let is_called =
        |names: &[&str]| names.contains(&name.as_str()) || names.contains(&key.as_str());
    let known: BTreeSet<String> = asked
        .iter()
        .map(|key| general(key).trim_end_matches("[]").to_owned())
        .collect();
    let renamed = RENAMED.iter().filter(|(names, ..)| is_called(names));
    for (_, keys, know) in renamed {
        if let Some(key) = keys.iter().find(|key| known.contains(**key)) {
            let know = if know.is_empty() {
                String::new()
            } else {
                format!(": {know}")
            };
            return Some(format!("here it is `{key}`{know}"));
        }
    }
    let absent = ABSENT.iter().find(|(names, _)| is_called(names));
    absent.map(|(_, why)| format!("remove it: {why}"))
}
