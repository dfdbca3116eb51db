//! `candor export`

use std::path::{Path, PathBuf};

use anyhow::bail;
use candor_model::export::{Export, Exported, export_adapter};
use candor_model::{CheckpointFormat, ModelFolder, hub, peft};
use tch::Kind;

use super::device::device;
use crate::arguments::{ExportArguments, ExportType, WeightFormat};

/// Writes a model, merged or not, or an adapter.
pub fn run(arguments: &ExportArguments) -> anyhow::Result<()> {
    let (model, adapter) = model_and_adapter(arguments)?;
    let model = ModelFolder::find_with_tower(&model, arguments.tower.as_deref())?;
    let checkpoint_format = checkpoint_format(arguments.format);
    let kind = arguments.dtype.map(kind);
    let out = &arguments.out;
    match adapter {
        None if arguments.merge => {
            bail!("--merge: there is nothing to merge (name an adapter with --adapter)")
        }
        Some(adapter) if !arguments.merge => {
            // An adapter that was given alone keeps the name of its base.
            let named = arguments
                .adapter
                .is_some()
                .then(|| arguments.model.to_string_lossy());
            let base = model.config();
            export_adapter(
                &adapter,
                base,
                named.as_deref(),
                checkpoint_format,
                kind,
                out,
            )?;
            println!("{}: the adapter, as a PEFT folder", out.display());
        }
        adapter => {
            let export = Export {
                model,
                adapter,
                checkpoint_format,
                kind,
            };
            let exported = export.write(out, device(arguments.device)?)?;
            report(out, &exported);
            report_merging(&exported);
        }
    }
    Ok(())
}

/// The model's folder or name, and the adapter's folder.
fn model_and_adapter(arguments: &ExportArguments) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let model = &arguments.model;
    let Some(base) = &arguments.base else {
        return Ok(peft::with_base(model, arguments.adapter.as_deref())?);
    };
    let folder = hub::find(model)?;
    if !peft::is_adapter(&folder) {
        bail!(
            "--base: {} is a model and has no base (leave --base out)",
            model.display()
        );
    }
    Ok((base.clone(), Some(folder)))
}

/// What is written.
pub fn checkpoint_format(named: WeightFormat) -> CheckpointFormat {
    match named {
        WeightFormat::Hf => CheckpointFormat::HuggingFace,
        WeightFormat::Llava => CheckpointFormat::Original,
    }
}

/// The type of all tensors.
pub fn kind(named: ExportType) -> Kind {
    match named {
        ExportType::F32 => Kind::Float,
        ExportType::Bf16 => Kind::BFloat16,
        ExportType::F16 => Kind::Half,
    }
}

/// Says what was written.
pub fn report(out: &Path, exported: &Exported) {
    println!(
        "{}: {} tensors, {:.1} MB in {} file(s)",
        out.display(),
        exported.n_tensors,
        exported.n_bytes as f64 / 1e6,
        exported.n_files
    );
}

fn report_merging(exported: &Exported) {
    if let Some(difference) = &exported.difference {
        println!(
            "merged: logits of a probe differ from the unmerged model's by at most {:.1e} ({:?}, largest logit {:.1})",
            difference.largest, difference.kind, difference.logit
        );
    }
}
