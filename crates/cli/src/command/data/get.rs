//! `candor data get`: fetches a public set from Hugging Face's hub, or says where else it is.
//!
//! What is fetched is shown first, with sizes, licence and checksums, and is of one commit: that of the list that was
//! shown. Files go to the cache of Hugging Face's tools, by the client of `candor download`.

use std::fs::{self, File};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use candor_data::{atomic, sha256};
use candor_model::hub::Named;

use super::sets::{PublicSet, fits};
use crate::arguments::GetArguments;
use crate::command::disk::{are_on_one_disk, free_bytes};
use crate::command::hub_client::{Client, Kind, Listed, Listing, is_offline};

/// Runs the command.
pub fn run(arguments: &GetArguments) -> anyhow::Result<()> {
    let sets = PublicSet::all()?;
    let Some(asked) = arguments.name.as_deref().filter(|_| !arguments.list) else {
        return list(&sets);
    };
    let (name, revision) = match asked.split_once('@') {
        Some((name, revision)) => (name, Some(revision)),
        None => (asked, None),
    };
    let Some(set) = sets.iter().find(|set| set.name == name) else {
        let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        bail!(
            "there is no set {name:?}; the sets are {}",
            names.join(", ")
        );
    };
    let Some(named) = set.named(revision) else {
        bail!(
            "{name} ({}) is not on the hub. Fetch it by hand:\n{}\n  licence: {}{}",
            set.what,
            set.elsewhere_lines().join("\n"),
            set.licence,
            afterwards(set)
        );
    };
    ensure!(
        !is_offline(),
        "HF_HUB_OFFLINE is set, so nothing is downloaded; unset it, or fetch {} from https://huggingface.co/datasets/{} by \
         hand{}",
        set.files.join(", "),
        named.repository,
        afterwards(set)
    );
    let of_revision = Client::open(&named, Kind::Set)?;
    let listing = of_revision.listing(&named.repository)?;
    let files = chosen(set, &listing)?;
    // Only files of the commit that is shown are taken, from the cache as well.
    let commit = Named {
        revision: listing.sha.clone(),
        ..named.clone()
    };
    let client = Client::open(&commit, Kind::Set)?;
    show(set, &named, &listing, &files, client.folder());
    let out = arguments.out.as_deref();
    if let Some(out) = out {
        look_at(out, &files)?;
    }
    make_room(&client, &files, out)?;
    agree(arguments.yes, name)?;
    let folder = fetch(&client, &files, out)?;
    of_revision.refer(&listing.sha)?;
    writeln!(io::stdout(), "{}", folder.display())?;
    eprintln!("{}", afterwards(set).trim_start());
    Ok(())
}

/// Prints the table.
fn list(sets: &[PublicSet]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let longest = |text: fn(&PublicSet) -> &str| {
        let lengths = sets.iter().map(|set| text(set).len());
        lengths.max().unwrap_or_default()
    };
    let (names, places) = (longest(|set| &set.name), longest(PublicSet::place));
    let licences = longest(|set| &set.licence);
    for set in sets {
        let (name, place, licence) = (&set.name, set.place(), &set.licence);
        writeln!(
            out,
            "{name:names$}  {place:places$}  {licence:licences$}  {}",
            set.what
        )?;
    }
    Ok(())
}

/// What is left to do once the files are there.
fn afterwards(set: &PublicSet) -> String {
    let mut text = String::new();
    if set.repository.is_some() && !set.elsewhere.is_empty() {
        text += "\nIts other files are elsewhere:\n";
        text += &set.elsewhere_lines().join("\n");
    }
    for line in set.then.iter().flat_map(|then| then.lines()) {
        text += "\n";
        text += line;
    }
    text += "\nIt is read by\n  ";
    text + &set.reads.join("\n  ")
}

/// The files of the list that the set has; each of its patterns means one at least.
fn chosen<'a>(set: &PublicSet, listing: &'a Listing) -> anyhow::Result<Vec<&'a Listed>> {
    let is_plain = |name: &str| {
        let mut parts = Path::new(name).components();
        !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    let there: Vec<&Listed> = listing
        .siblings
        .iter()
        .filter(|file| is_plain(&file.name))
        .collect();
    for pattern in &set.files {
        ensure!(
            there.iter().any(|file| fits(pattern, &file.name)),
            "{} has no file {pattern} any more at commit {}; name an older commit as {}@COMMIT",
            set.place(),
            listing.sha,
            set.name
        );
    }
    let wanted = |file: &&Listed| set.files.iter().any(|pattern| fits(pattern, &file.name));
    Ok(there.into_iter().filter(wanted).collect())
}

/// Says what is to be fetched.
fn show(set: &PublicSet, named: &Named, listing: &Listing, files: &[&Listed], cache: &Path) {
    let (repository, revision, commit) = (&named.repository, &named.revision, &listing.sha);
    eprintln!("{}: {}", set.name, set.what);
    eprintln!("  {repository}, {revision} is commit {commit}");
    let said = listing.licences().join(", ");
    let licence = match said.as_str() {
        "" => format!("{}; the hub says none", set.licence),
        said if said == set.licence => format!("{said}, as the hub says"),
        said => format!("the hub says {said}; candor's table has {}", set.licence),
    };
    eprintln!("  licence: {licence}");
    for file in files {
        let size = file.size.map_or("of unknown size".to_owned(), size);
        let checksum = file.sha256().unwrap_or("none, its size is compared");
        eprintln!("  {}: {size}, SHA-256 {checksum}", file.name);
    }
    eprintln!(
        "  {} files, {} in all, into {}",
        files.len(),
        size(total(files.iter())),
        cache.display()
    );
}

/// The sizes of files, as far as they are known.
fn total<'a>(files: impl Iterator<Item = &'a &'a Listed>) -> u64 {
    let sizes = files.filter_map(|file| file.size);
    sizes.fold(0, u64::saturating_add)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Refuses to go on where `out` has a file that is another than what is to be put there, as far as the list tells.
fn look_at(out: &Path, files: &[&Listed]) -> anyhow::Result<()> {
    for file in files {
        let path = out.join(&file.name);
        if !path.exists() {
            continue;
        }
        let is_same = match (file.sha256(), file.size) {
            (Some(promised), _) => sha256::of_file(&path)? == promised,
            (None, Some(size)) => fs::metadata(&path)?.len() == size,
            (None, None) => true,
        };
        ensure!(is_same, "{}", is_another(&path));
    }
    Ok(())
}

fn is_another(path: &Path) -> String {
    format!(
        "{} is there already and says something else; move it away, or name another folder in --out",
        path.display()
    )
}

/// Refuses what the disks have no room for: the cache's, and that of `out`, which gets copies.
fn make_room(client: &Client, files: &[&Listed], out: Option<&Path>) -> anyhow::Result<()> {
    let cache = client.folder();
    let mut into_cache = total(files.iter().filter(|file| !client.has(file)));
    if let Some(out) = out {
        let into_out = total(files.iter().filter(|file| !out.join(&file.name).exists()));
        if are_on_one_disk(cache, out) {
            into_cache = into_cache.saturating_add(into_out);
        } else {
            room_for(into_out, out, "name another folder in --out")?;
        }
    }
    room_for(into_cache, cache, "name another place in HF_HOME")
}

fn room_for(needed: u64, folder: &Path, otherwise: &str) -> anyhow::Result<()> {
    if let Some(free) = free_bytes(folder) {
        ensure!(
            needed <= free,
            "{} are to be written and {} has room for {}; make room, or {otherwise}",
            size(needed),
            folder.display(),
            size(free)
        );
    }
    Ok(())
}

/// Asks whether to go on, unless that was said.
fn agree(yes: bool, name: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    let mut answer = String::new();
    if stdin.is_terminal() {
        eprint!("Fetch it? [y/N] ");
        stdin.lock().read_line(&mut answer)?;
    }
    ensure!(
        matches!(answer.trim(), "y" | "Y" | "yes"),
        "nothing was fetched; candor data get {name} --yes fetches it"
    );
    Ok(())
}

/// Fetches files, and says in which folder they are.
fn fetch(client: &Client, files: &[&Listed], out: Option<&Path>) -> anyhow::Result<PathBuf> {
    let mut folder = None;
    for (n, file) in files.iter().enumerate() {
        let name = &file.name;
        eprintln!("{} of {}: {name}", n + 1, files.len());
        client.link(file)?;
        let path = client.fetch(name).with_context(|| name.clone())?;
        check(file, &path)?;
        if let Some(out) = out {
            put(&path, &out.join(name))?;
        }
        // The file's own path leads through the folders of its name.
        let depth = Path::new(name).components().count();
        folder = path.ancestors().nth(depth).map(Path::to_path_buf);
    }
    let in_cache = folder.context("there is no file to fetch")?;
    Ok(out.map_or(in_cache, Path::to_path_buf))
}

/// Refuses a file that is another than the list promised.
fn check(file: &Listed, path: &Path) -> anyhow::Result<()> {
    let name = &file.name;
    let found = fs::metadata(path)?.len();
    let blob = fs::canonicalize(path)?;
    let at = blob.display();
    if let Some(size) = file.size.filter(|&size| size != found) {
        bail!(
            "{name} has {found} bytes and not {size} as the hub says; remove {at} and fetch it again"
        );
    }
    if let Some(promised) = file.sha256() {
        let found = match blob.file_name().and_then(|name| name.to_str()) {
            // The client has compared what is named after its SHA-256 with its name.
            Some(name) if name.len() == 64 => name.to_owned(),
            _ => sha256::of_file(path)?,
        };
        ensure!(
            found == promised,
            "{name} has the SHA-256 {found} and not {promised} as the hub says; remove {at} and fetch it again"
        );
    }
    Ok(())
}

/// Copies a file of the cache. A second name of the same bytes would let who edits it damage the cache of all tools.
fn put(from: &Path, to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        ensure!(
            sha256::of_file(to)? == sha256::of_file(from)?,
            "{}",
            is_another(to)
        );
        return Ok(());
    }
    atomic::write_with(to, |file| io::copy(&mut File::open(from)?, file).map(drop))?;
    Ok(())
}
