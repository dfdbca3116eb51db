//! `candor data check`: reads a file of a public format and says what is in it; and the other commands of `candor data`.

mod build;
mod convert;
mod get;
mod sets;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use candor_data::formats::images::Embedded;
use candor_data::formats::tools::{Taken, argilla, label_studio};
use candor_data::formats::trl::{messages, unpaired};
use candor_data::formats::{
    ImageId, ImageNames, a_okvqa, amber, answer_sets, answers, captions, coco, flickr30k, folder,
    hallusion_bench, images, llava, mmbench, mme, mmhal, object_hal_bench, own_set, pope,
    ppo_prompts, ratings, scores, vqa_v2,
};
use candor_data::image::{ImageLimits, decode_bytes};
use candor_data::{ComparisonFormat, Conversation, DataError, shown};

use crate::arguments::{DataCommand, DataFormat};

/// What a file holds: rows of what, and the images its rows name.
struct Content {
    n_rows: usize,
    rows: String,
    /// What each row shows, where it shows images; none if rows of this format have no image files.
    images: Option<Vec<Option<String>>>,
    /// Of a set in several files, each with how many of the rows are in it.
    files: Vec<(PathBuf, usize)>,
}

impl Content {
    fn new<T>(rows: &str, items: &[T], image: impl Fn(&T) -> Option<String>) -> Self {
        Self {
            n_rows: items.len(),
            rows: rows.to_owned(),
            images: Some(items.iter().map(image).collect()),
            files: Vec::new(),
        }
    }

    fn without_images<T>(rows: &str, items: &[T]) -> Self {
        Self {
            n_rows: items.len(),
            rows: rows.to_owned(),
            images: None,
            files: Vec::new(),
        }
    }
}

/// Runs a `candor data` command.
pub fn run(command: DataCommand) -> anyhow::Result<()> {
    match command {
        DataCommand::Build(command) => build::run(*command),
        DataCommand::Convert(arguments) => convert::run(&arguments),
        DataCommand::Get(arguments) => get::run(&arguments),
        DataCommand::Check {
            file,
            format,
            images,
            image_names,
        } => check(&file, format, images.as_deref(), &image_names),
    }
}

fn check(
    file: &Path,
    format: Option<DataFormat>,
    folder: Option<&Path>,
    image_names: &ImageNames,
) -> anyhow::Result<()> {
    let mut embedded = BTreeMap::new();
    let content = read(file, format, image_names, &mut embedded, folder.is_some())?;
    let is_embedded = |name: &str| embedded.contains_key(name);
    let names = || content.images.iter().flatten().map(Option::as_deref);
    let mut n_decoded = embedded.len();
    if let Some(folder) = folder {
        anyhow::ensure!(
            content.images.is_some(),
            "{}: rows of this format name no image files, so --images has nothing to look for; leave it out",
            file.display()
        );
        let broken: Vec<String> = embedded.values().flatten().cloned().collect();
        anyhow::ensure!(
            broken.is_empty(),
            "{}: {}",
            file.display(),
            broken.join("\n  ")
        );
        let in_folder = names().map(|shown| shown::without(shown?, is_embedded));
        n_decoded += decode(file, &content.files, in_folder.collect(), folder)?;
    }
    let mut distinct: Vec<&str> = names().flatten().flat_map(shown::names).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let (n_rows, rows, n_images) = (content.n_rows, content.rows, distinct.len());
    let decoded = match folder {
        Some(_) if n_decoded > 0 => ", all decoded",
        _ => "",
    };
    println!(
        "{}: {n_rows} {rows}, {n_images} images{decoded}",
        file.display()
    );
    Ok(())
}

/// What another annotation tool's file holds; says what candor has no use for.
fn taken(rows: &str, taken: &Taken) -> Content {
    if let Some(left_behind) = taken.left_behind_in_words() {
        eprintln!("{left_behind}");
    }
    Content::new(rows, &taken.rows, |r| r.image.clone())
}

/// Decodes what the rows show, each image once, and returns how many there are. Of a set in several `files` those of each are looked at
/// by themselves, so that a message names the file and the row in it.
fn decode(
    file: &Path,
    files: &[(PathBuf, usize)],
    rows: Vec<Option<String>>,
    folder: &Path,
) -> Result<usize, DataError> {
    let whole = [(file.to_path_buf(), rows.len())];
    let files = if files.is_empty() { &whole[..] } else { files };
    let mut rows = rows.into_iter();
    let mut decoded: HashSet<String> = HashSet::new();
    for (path, n_rows) in files {
        let new = rows.by_ref().take(*n_rows);
        let new = new.map(|shown| shown::without(&shown?, |name| decoded.contains(name)));
        let new: Vec<Option<String>> = new.collect();
        images::decode_all(
            path,
            new.iter().map(Option::as_deref),
            folder,
            &ImageLimits::default(),
            &|n_done, n| eprintln!("{n_done} of {n} images decoded"),
        )?;
        let names = new.iter().flatten().flat_map(|shown| shown::names(shown));
        decoded.extend(names.map(str::to_owned));
    }
    Ok(decoded.len())
}

/// What is in the file; without a format it is one of comparisons. `embedded` gets what is wrong, if anything is, with each
/// image that is inside it, by name.
fn read(
    file: &Path,
    format: Option<DataFormat>,
    image_names: &ImageNames,
    embedded: &mut BTreeMap<String, Option<String>>,
    decodes: bool,
) -> anyhow::Result<Content> {
    let numbered = |image: &ImageId| Some(image_names.file(image));
    let mut compared = |format| comparisons(file, format, embedded, decodes);
    let Some(format) = format else {
        // The files of a folder have one format.
        let files = folder::files(file)?;
        let format = ComparisonFormat::of(files.first().map_or(file, PathBuf::as_path))?;
        let mut content = compared(format)?;
        content.rows = format!("{} ({})", content.rows, format.name());
        return Ok(content);
    };
    Ok(match format {
        DataFormat::Llava => conversations(file, false, &mut keeping(embedded, decodes))?,
        DataFormat::Messages => conversations(file, true, &mut keeping(embedded, decodes))?,
        DataFormat::Candidates => compared(ComparisonFormat::Candidates)?,
        DataFormat::AnswerSets => Content::new("sets of answers", &answer_sets::read(file)?, |r| {
            r.image.clone()
        }),
        DataFormat::Preference => compared(ComparisonFormat::Llava)?,
        DataFormat::PreferenceLog => compared(ComparisonFormat::PreferenceLog)?,
        DataFormat::Trl => compared(ComparisonFormat::Trl)?,
        DataFormat::TrlUnpaired => rated(file, embedded, decodes)?,
        DataFormat::VlRewardBench => compared(ComparisonFormat::VlRewardBench)?,
        DataFormat::MultimodalRewardBench => compared(ComparisonFormat::MultimodalRewardBench)?,
        DataFormat::Scores => Content::without_images("scored pairs", &scores::read(file)?),
        DataFormat::Ratings => {
            Content::new("rated answers", &ratings::read(file)?, |r| r.image.clone())
        }
        DataFormat::LabelStudio => taken("tasks", &label_studio::read(file)?),
        DataFormat::Argilla => taken("records", &argilla::read(file)?),
        DataFormat::PpoPrompts => {
            let rows = ppo_prompts::read_set(file, &mut keeping(embedded, decodes))?;
            let of_file = rows.chunk_by(|(one, _), (other, _)| one.file == other.file);
            let files = of_file.map(|rows| (rows[0].0.file.path.clone(), rows.len()));
            Content {
                files: files.collect(),
                ..Content::new("prompts", &rows, |(_, r)| r.conversation.image.clone())
            }
        }
        DataFormat::Captions => {
            let book = captions::read(file)?;
            let names: Vec<String> = book.iter().map(|(image, _)| image.to_owned()).collect();
            Content::new("images with facts", &names, |name| Some(name.clone()))
        }
        DataFormat::VqaV2Questions => {
            Content::new("questions", &vqa_v2::read_questions(file)?, |r| {
                numbered(&r.image_id)
            })
        }
        DataFormat::VqaV2Annotations => {
            Content::new("annotations", &vqa_v2::read_annotations(file)?, |r| {
                numbered(&r.image_id)
            })
        }
        DataFormat::AOkvqa => Content::new("questions", &a_okvqa::read(file)?, |r| {
            numbered(&r.image_id)
        }),
        DataFormat::Flickr30k => Content::new("captions", &flickr30k::read(file)?, |r| {
            Some(r.image.clone())
        }),
        DataFormat::CocoCaptions => {
            let images = coco::read_captions(file)?.images;
            Content::new("images", &images, |r| Some(r.file_name.clone()))
        }
        DataFormat::CocoInstances => {
            let images = coco::read_instances(file)?.images;
            Content::new("images", &images, |r| Some(r.file_name.clone()))
        }
        DataFormat::Pope => {
            Content::new("questions", &pope::read(file)?, |r| Some(r.image.clone()))
        }
        DataFormat::Mmhal => Content::without_images("questions", &mmhal::read(file)?),
        DataFormat::Mmbench => Content::without_images("questions", &mmbench::read(file)?),
        DataFormat::AmberQueries => Content::new("queries", &amber::read_queries(file)?, |r| {
            Some(r.image.clone())
        }),
        DataFormat::AmberAnnotations => {
            Content::without_images("annotations", &amber::read_annotations(file)?)
        }
        DataFormat::AmberWords => {
            let words: Vec<_> = amber::read_words(file)?.into_iter().collect();
            Content::without_images("words", &words)
        }
        DataFormat::ObjectHalBench => {
            Content::without_images("prompts", &object_hal_bench::read(file)?)
        }
        DataFormat::HallusionBench => {
            Content::new("questions", &hallusion_bench::read(file)?, |r| {
                r.has_figure().then(|| r.figure())
            })
        }
        DataFormat::Mme => Content::new("questions", &mme::read(file)?, |r| Some(r.image.clone())),
        DataFormat::Own => Content::new("questions", &own_set::read(file)?, |r| {
            Some(r.image.clone())
        }),
        DataFormat::Answers => Content::without_images("answers", &answers::read(file)?),
    })
}

/// Names the images that are inside a file; `embedded` and `decodes` are as in [`read`].
fn keeping(
    embedded: &mut BTreeMap<String, Option<String>>,
    decodes: bool,
) -> impl FnMut(&[u8]) -> Result<String, DataError> {
    move |bytes: &[u8]| {
        // One image may be inside several times.
        let name = images::content_name(bytes);
        if !embedded.contains_key(&name) {
            let called = format!("image {} inside the file", embedded.len());
            let limits = ImageLimits::default();
            let refused = || decode_bytes(Path::new(&called), bytes, &limits).err();
            let refused = decodes.then(refused).flatten();
            embedded.insert(name.clone(), refused.map(|error| error.to_string()));
        }
        Ok(name)
    }
}

/// The conversations of a file, or of a folder with files of them; what their rows show is all that is held of them. Rows that every
/// stage refuses for their number of `<image>` are counted on stderr.
fn conversations(
    file: &Path,
    are_messages: bool,
    embedded: Embedded<'_>,
) -> Result<Content, DataError> {
    let (mut images, mut files) = (Vec::new(), Vec::new());
    for path in folder::files(file)? {
        let (n_before, share) = (images.len(), Cell::new(0.0));
        let (mut n_odd, mut first_odd) = (0_usize, None);
        let take = |index: usize, row: Conversation| {
            if shown::count(row.image.as_deref()) != row.n_placeholders() {
                n_odd += 1;
                first_odd.get_or_insert(index);
            }
            images.push(row.image);
            Ok::<_, DataError>(())
        };
        if are_messages {
            messages::each(&path, embedded, &share, take)?;
        } else {
            llava::each_of_any(&path, embedded, &share, take)?;
        }
        if let Some(first) = first_odd {
            eprintln!(
                "{}: {n_odd} of {} rows have more or fewer `<image>` than images, the first of them row {first}; no stage takes such rows: write \
                 `<image>` once for each image, and check that `image` is spelled so",
                path.display(),
                images.len() - n_before
            );
        }
        files.push((path, images.len() - n_before));
    }
    Ok(Content {
        n_rows: images.len(),
        rows: "conversations".to_owned(),
        images: Some(images),
        files,
    })
}

/// The rated answers of a file. `embedded` and `decodes` are as in [`read`].
fn rated(
    file: &Path,
    embedded: &mut BTreeMap<String, Option<String>>,
    decodes: bool,
) -> anyhow::Result<Content> {
    let (mut images, mut files, mut n_desirable) = (Vec::new(), Vec::new(), 0);
    for path in folder::files(file)? {
        let rows = unpaired::read(&path, &mut keeping(embedded, decodes))?;
        files.push((path, rows.len()));
        for row in rows {
            n_desirable += usize::from(row.is_desirable);
            images.push(row.image);
        }
    }
    Ok(Content {
        n_rows: images.len(),
        rows: format!("rated answers, {n_desirable} of them desirable"),
        images: Some(images),
        files,
    })
}

/// The comparisons of a file. `embedded` and `decodes` are as in [`read`].
fn comparisons(
    file: &Path,
    format: ComparisonFormat,
    embedded: &mut BTreeMap<String, Option<String>>,
    decodes: bool,
) -> anyhow::Result<Content> {
    let (mut images, mut files, mut n_open) = (Vec::new(), Vec::new(), 0);
    for path in folder::files(file)? {
        let rows = format.read(&path, &mut keeping(embedded, decodes))?;
        files.push((path, rows.len()));
        for row in rows {
            n_open += usize::from(row.judgement.is_none());
            images.push(row.image);
        }
    }
    let n_rows = images.len();
    let rows = match n_open {
        0 => "comparisons".to_owned(),
        n if n == n_rows => "answer pairs".to_owned(),
        n => format!("comparisons, {n} of them not judged"),
    };
    Ok(Content {
        n_rows,
        rows,
        images: Some(images),
        files,
    })
}
