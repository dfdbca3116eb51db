//! `candor data check`: reads a file of a public format and says what is in it.

use std::path::Path;

use candor_data::formats::{
    a_okvqa, answers, candidates, captions, coco, flickr30k, images, llava, mmbench, mmhal,
    own_set, pope, ppo_prompts, preference, vqa_v2,
};

use crate::arguments::{DataCommand, DataFormat};

/// What a file holds: rows of what, and the images its rows name.
struct Content {
    n_rows: usize,
    rows: &'static str,
    /// The image of each row, where it has one.
    images: Vec<Option<String>>,
    /// The field that names it.
    field: &'static str,
}

impl Content {
    fn new<T>(rows: &'static str, items: &[T], image: impl Fn(&T) -> Option<String>) -> Self {
        Self {
            n_rows: items.len(),
            rows,
            images: items.iter().map(image).collect(),
            field: "image",
        }
    }
}

/// Runs a `candor data` command.
pub fn run(command: DataCommand) -> anyhow::Result<()> {
    let DataCommand::Check {
        file,
        format,
        images: folder,
    } = command;
    let content = read(&file, format)?;
    if let Some(folder) = folder {
        anyhow::ensure!(
            content.images.iter().any(Option::is_some),
            "{}: rows of this format name no image files, so --images has nothing to look for; leave it out",
            file.display()
        );
        images::check(
            &file,
            content.field,
            content.images.iter().map(Option::as_deref),
            &folder,
        )?;
    }
    let mut names: Vec<String> = content.images.into_iter().flatten().collect();
    names.sort_unstable();
    names.dedup();
    println!(
        "{}: {} {}, {} images",
        file.display(),
        content.n_rows,
        content.rows,
        names.len()
    );
    Ok(())
}

fn read(file: &Path, format: DataFormat) -> anyhow::Result<Content> {
    Ok(match format {
        DataFormat::Llava => {
            Content::new("conversations", &llava::read(file)?, |r| r.image.clone())
        }
        DataFormat::Preference => {
            Content::new("comparisons", &preference::read(file)?, |r| r.image.clone())
        }
        DataFormat::Candidates => Content::new("answer pairs", &candidates::read(file)?, |r| {
            r.image.clone()
        }),
        DataFormat::PpoPrompts => Content::new("prompts", &ppo_prompts::read(file)?, |r| {
            r.conversation.image.clone()
        }),
        DataFormat::Captions => {
            let book = captions::read(file)?;
            let names: Vec<String> = book.iter().map(|(image, _)| image.to_owned()).collect();
            Content::new("images with facts", &names, |name| Some(name.clone()))
        }
        DataFormat::VqaV2Questions => {
            Content::new("questions", &vqa_v2::read_questions(file)?, |_| None)
        }
        DataFormat::VqaV2Annotations => {
            Content::new("annotations", &vqa_v2::read_annotations(file)?, |_| None)
        }
        DataFormat::AOkvqa => Content::new("questions", &a_okvqa::read(file)?, |_| None),
        DataFormat::Flickr30k => Content::new("captions", &flickr30k::read(file)?, |r| {
            Some(r.image.clone())
        }),
        DataFormat::CocoCaptions => {
            let images = coco::read_captions(file)?.images;
            Content {
                field: "file_name",
                ..Content::new("images", &images, |r| Some(r.file_name.clone()))
            }
        }
        DataFormat::CocoInstances => {
            let images = coco::read_instances(file)?.images;
            Content {
                field: "file_name",
                ..Content::new("images", &images, |r| Some(r.file_name.clone()))
            }
        }
        DataFormat::Pope => {
            Content::new("questions", &pope::read(file)?, |r| Some(r.image.clone()))
        }
        DataFormat::Mmhal => Content::new("questions", &mmhal::read(file)?, |_| None),
        DataFormat::Mmbench => Content::new("questions", &mmbench::read(file)?, |_| None),
        DataFormat::Own => Content::new("questions", &own_set::read(file)?, |r| {
            Some(r.image.clone())
        }),
        DataFormat::Answers => Content::new("answers", &answers::read(file)?, |_| None),
    })
}
