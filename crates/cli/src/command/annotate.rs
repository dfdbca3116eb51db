//! `candor annotate …`

use std::path::Path;

use candor_annotate::command;
use candor_annotate::export;
use candor_annotate::new;
use candor_annotate::store;

use super::stage::{program, quoted};
use crate::arguments::{Aggregate, AnnotateCommand, ExportFormat, Rank, Role};

/// Runs a `candor annotate` command.
pub fn run(command: AnnotateCommand) -> anyhow::Result<()> {
    match command {
        AnnotateCommand::New {
            candidates,
            rank,
            images,
            out,
            seed,
        } => {
            let (made, what) = match (rank, candidates.as_slice()) {
                (Some(rank), files) => {
                    let ties = rank == Rank::Ties;
                    let made = command::new_ranking(files, &images, &out, seed, ties)?;
                    (made, "sets of answers")
                }
                (None, [file]) => (command::new(file, &images, &out, seed)?, "pairs of answers"),
                (None, files) => anyhow::bail!(
                    "{} files of comparisons; name one, or give --rank to let people rank the answers of all to each prompt",
                    files.len()
                ),
            };
            let project = out.join(new::FILE);
            println!("{}: {} {what}", project.display(), made.n_new);
            eprintln!(
                "annotate: edit it and guidelines.md beside it, then let people judge them: {} annotate serve {}",
                program(),
                quoted(&project.display().to_string())
            );
        }
        AnnotateCommand::Serve { projects } => command::serve(&projects)?,
        AnnotateCommand::Invite {
            project,
            role,
            hours,
        } => println!("{}", command::invite(&project, role.into(), hours)?),
        AnnotateCommand::Export {
            project,
            format,
            aggregate,
            out,
        } => println!(
            "{}",
            export_to(&project, format.into(), aggregate.map(Into::into), &out)?
        ),
        AnnotateCommand::Backup { project, out } => {
            command::backup(&project, &out)?;
            println!("{}", out.display());
        }
        AnnotateCommand::Move { project, to } => {
            let n_rows = command::move_to(&project, &to)?;
            println!(
                "{n_rows} rows copied; now set `database` of {} to the new one",
                project.display()
            );
        }
    }
    Ok(())
}

/// Writes what people said, and returns a line about it.
pub fn export_to(
    project: &Path,
    format: export::Format,
    aggregate: Option<export::Aggregate>,
    out: &Path,
) -> anyhow::Result<String> {
    let exported = command::export(project, format, aggregate)?;
    candor_data::atomic::write(out, exported.text.as_bytes())?;
    let mut said = vec![format!(
        "{}: {} rows, {} items undecided",
        out.display(),
        exported.n_rows,
        exported.n_undecided
    )];
    said.extend(exported.ranked.map(|ranked| ranked.to_string()));
    if exported.n_unfit > 0 {
        said.push(format!(
            "left out {} items whose answers were ranked, for which the format has no place",
            exported.n_unfit
        ));
    }
    Ok(said.join("; "))
}

impl From<Role> for store::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Annotator => Self::Annotator,
            Role::Adjudicator => Self::Adjudicator,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<ExportFormat> for export::Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::PreferenceLog => Self::PreferenceLog,
            ExportFormat::Llava => Self::Llava,
            ExportFormat::Trl => Self::Trl,
            ExportFormat::Segments => Self::Segments,
            ExportFormat::Sentences => Self::Sentences,
            ExportFormat::Ratings => Self::Ratings,
            ExportFormat::LabelStudio => Self::LabelStudio,
            ExportFormat::Argilla => Self::Argilla,
            ExportFormat::Events => Self::Events,
        }
    }
}

impl From<Aggregate> for export::Aggregate {
    fn from(aggregate: Aggregate) -> Self {
        match aggregate {
            Aggregate::Majority => Self::Majority,
            Aggregate::Adjudicated => Self::Adjudicated,
            Aggregate::Weighted => Self::Weighted,
        }
    }
}
