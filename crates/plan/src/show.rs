//! Inspections and plans as text for a terminal.

use std::fmt::Write as _;

use crate::check::Plan;
use crate::inspect::{ExampleToken, Inspection};
use crate::memory::Memory;
use crate::needs::Need;
use crate::sharing::Sharing;

/// An inspection as a page.
#[must_use]
pub fn show_inspection(model: &Inspection) -> String {
    let mut page = String::new();
    let decoder = model.config.decoder_sizes();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(page, "{name:<14} {value}");
    };
    row("model", model.folder.display().to_string());
    if let Some(adapter) = &model.adapter {
        row("base of", adapter.display().to_string());
    }
    row("format", model.checkpoint_format.clone());
    if let Some(folder) = &model.tower {
        row("tower's folder", folder.display().to_string());
    }
    for (i, file) in model.files.iter().enumerate() {
        let name = if i == 0 { "files" } else { "" };
        let value = format!(
            "{}, {} tensors, {}",
            file.name,
            file.n_tensors,
            gigabytes(file.n_bytes)
        );
        row(name, value);
    }
    let dtypes = model.dtypes.values();
    let dtypes = dtypes.map(|d| {
        format!(
            "{} ({} tensors, {})",
            d.name,
            d.n_tensors,
            gigabytes(d.n_bytes)
        )
    });
    row("types", dtypes.collect::<Vec<_>>().join(", "));
    for (i, part) in model.parts.iter().enumerate() {
        let name = if i == 0 { "parameters" } else { "" };
        row(
            name,
            format!("{:<15} {:>15}", part.part, thousands(part.n_parameters)),
        );
    }
    row(
        "",
        format!("{:<15} {:>15}", "in all", thousands(model.n_parameters)),
    );
    row(
        "decoder",
        format!(
            "{} wide, {} blocks, {} heads of {} (keys and values: {}), {} words, {} positions",
            decoder.width,
            decoder.n_blocks,
            decoder.n_heads,
            decoder.head_width,
            decoder.n_kv_heads,
            decoder.n_words,
            decoder.n_positions
        ),
    );
    row("tower", tower_line(model));
    let specials = model.special_ids.iter();
    let specials: Vec<_> = specials.map(|s| format!("{} {}", s.id, s.role)).collect();
    row(
        "tokenizer",
        format!("{} ids: {}", model.n_token_ids, specials.join(", ")),
    );
    row("template", template(model));
    row("an example", format!("{:?}", model.example_text));
    let _ = writeln!(page, "  position  id      text (* is trained on)");
    for token in &model.example_tokens {
        let _ = writeln!(page, "  {}", example(token, model.n_image_tokens, model));
    }
    needs(&mut page, &model.needs);
    let features = gigabytes(model.features_of_1000_images_bytes);
    let _ = writeln!(
        page,
        "Training and evaluation keep the features of all their images as well: {features} for 1000 in f32, half of it else."
    );
    let _ = match &model.problems {
        None => writeln!(page, "The parts fit together."),
        Some(problems) => writeln!(page, "What does not fit together:\n{problems}"),
    };
    page
}

fn template(model: &Inspection) -> String {
    let ends = if model.answers_end {
        "an answer ends with a token of its own"
    } else {
        "an answer ends without a token, so training on it is refused"
    };
    format!("{}; {ends}", model.template)
}

/// The tower, how it sees, and how many tokens an image takes.
fn tower_line(model: &Inspection) -> String {
    let tower = model.config.tower_sizes();
    let differ = model.config.sizes_differ();
    let seen = match model.config.llava() {
        None => format!("patches of {} pixels", tower.patch_size),
        Some(llava) => {
            let layers = llava.vision_feature_layer.all().iter();
            let layers: Vec<String> = layers.map(ToString::to_string).collect();
            format!(
                "{}{} pixels in patches of {}, read at layer {}",
                if differ {
                    "the whole and tiles of "
                } else {
                    ""
                },
                tower.image_size,
                tower.patch_size,
                layers.join(" and ")
            )
        }
    };
    let of = if differ {
        "an image of 640 × 480, others by their sizes"
    } else {
        "an image"
    };
    format!(
        "{} wide, {} blocks, {seen}: {} tokens {of}",
        tower.width, tower.n_blocks, model.n_image_tokens
    )
}

fn example(token: &ExampleToken, n_image_tokens: usize, model: &Inspection) -> String {
    let is_image = model
        .special_ids
        .iter()
        .any(|s| s.id == token.id && s.role == "stands for an image");
    let place = if is_image {
        format!("{}–{}", token.position, token.position + n_image_tokens - 1)
    } else {
        token.position.to_string()
    };
    let mark = if token.said { " *" } else { "" };
    format!("{place:<9} {:<7} {:?}{mark}", token.id, token.text)
}

fn needs(page: &mut String, needs: &[Need]) {
    let _ = writeln!(page, "memory in GB, by the formulas of docs/use.md:");
    let _ = writeln!(
        page,
        "  {:<24}{:>8}{:>8}{:>8}{:>8}",
        "", "f32", "bf16", "int8", "nf4"
    );
    for need in needs {
        let cell = |memory: Option<Memory>| {
            memory.map_or("–".to_owned(), |m| {
                format!("{:.1}", m.total_bytes() as f64 / 1e9)
            })
        };
        let cells = [need.f32, need.bf16, need.int8, need.nf4].map(cell);
        let [f32, bf16, int8, nf4] = cells;
        let _ = writeln!(
            page,
            "  {:<24}{f32:>8}{bf16:>8}{int8:>8}{nf4:>8}  {}",
            need.stage, need.with
        );
    }
}

/// Plans, one block each.
#[must_use]
pub fn show_plans(plans: &[Plan]) -> String {
    let mut page = String::new();
    for plan in plans {
        let _ = writeln!(
            page,
            "{}: {} -> {}",
            plan.recipe.display(),
            plan.stage,
            plan.out.display()
        );
        let mut row = |name: &str, value: String| {
            let _ = writeln!(page, "  {name:<8} {value}");
        };
        if let Some(steps) = plan.n_steps {
            row("steps", thousands(steps));
        }
        if let Some(rows) = plan.n_rows {
            row("data", format!("{} {}", thousands(rows), plan.rows));
        }
        if let Some(tokens) = plan.n_tokens {
            let bound = if plan.tokens_are_a_bound {
                "at most "
            } else {
                ""
            };
            row("tokens", format!("{bound}{}", thousands(tokens)));
        }
        if let Some(memory) = &plan.memory {
            row(
                "memory",
                format!(
                    "{} in all: weights {}, gradients and moments {}, features {}, largest phase {}",
                    gigabytes(memory.total_bytes()),
                    gigabytes(memory.weights_bytes),
                    gigabytes(memory.trained_bytes),
                    gigabytes(memory.features_bytes),
                    gigabytes(memory.work_bytes)
                ),
            );
        }
        if let Some(sharing) = &plan.sharing {
            shared(&mut row, sharing);
        }
        if let Some(secs) = plan.secs {
            let bound = if plan.tokens_are_a_bound {
                "at most "
            } else {
                ""
            };
            row("time", format!("{bound}{}", duration(secs)));
        }
        for note in &plan.notes {
            row("note", note.clone());
        }
    }
    page
}

/// Gigabytes a second that links carry each way: Gloo through the memory of hosts, a card's own network of 400 Gbit/s, and what lies
/// between the cards of one machine.
const LINKS: [u32; 3] = [2, 50, 450];

/// How many ranks share a run, how even its work is for them, and what goes over the network.
fn shared(row: &mut impl FnMut(&str, String), sharing: &Sharing) {
    let n_ranks = sharing.n_ranks;
    let mut ranks = format!("{n_ranks}, each with this memory");
    if sharing.exchange_bytes > 0 {
        let bytes = gigabytes(sharing.exchange_bytes);
        let _ = write!(
            ranks,
            ", and {bytes} of the host's while gradients are exchanged"
        );
    }
    row("ranks", ranks);
    if let (Some(all), Some(most), Some(speedup)) =
        (sharing.n_pieces, sharing.most_pieces, sharing.speedup())
    {
        let what = match sharing.n_lanes {
            Some(lanes) => format!(
                "{}; of the {all} passes of an update",
                lanes_of(lanes, n_ranks)
            ),
            None => format!("of {all} chunks"),
        };
        row(
            "shares",
            format!(
                "{what} a rank has up to {most}: {speedup:.1} times as fast as one rank at most"
            ),
        );
    }
    let start = gigabytes(sharing.start_bytes);
    let sent = match sharing.n_lanes {
        Some(_) => {
            let step = gigabytes(sharing.step_bytes);
            let secs = LINKS.map(|link| format!("{:.1} s at {link} GB/s", sharing.step_secs(link)));
            let secs = secs.join(", ");
            format!(
                "about {step} a step from and to each rank ({secs}), and {start} to each at the start"
            )
        }
        None => format!("about {start} to each rank at the start"),
    };
    row("network", sent);
}

/// How lanes are dealt to ranks.
fn lanes_of(n_lanes: u64, n_ranks: u64) -> String {
    let (few, n_more) = (n_lanes / n_ranks, n_lanes % n_ranks);
    if n_more == 0 {
        return format!("{n_lanes} lanes, {few} a rank");
    }
    let n_fewer = n_ranks - n_more;
    format!(
        "{n_lanes} lanes, {} on {n_more} of the ranks and {few} on {n_fewer}",
        few + 1
    )
}

fn gigabytes(bytes: u64) -> String {
    if bytes < 100_000_000 {
        return format!("{:.1} MB", bytes as f64 / 1e6);
    }
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// A count with a comma after each three digits.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

fn duration(secs: f64) -> String {
    let minutes = secs / 60.0;
    match secs {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{minutes:.0} min"),
        s if s < 172_800.0 => format!("{:.1} h", minutes / 60.0),
        _ => format!("{:.1} days", minutes / 1440.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let counts = [
            (7, "7"),
            (999, "999"),
            (1000, "1,000"),
            (7_063_427_072, "7,063,427,072"),
        ];
        for (n, shown) in counts {
            assert_eq!(thousands(n), shown);
        }
        let times = [
            (90.0, "90 s"),
            (600.0, "10 min"),
            (9000.0, "2.5 h"),
            (259_200.0, "3.0 days"),
        ];
        for (secs, shown) in times {
            assert_eq!(duration(secs), shown);
        }
        assert_eq!(lanes_of(8, 4), "8 lanes, 2 a rank");
        assert_eq!(lanes_of(8, 3), "8 lanes, 3 on 2 of the ranks and 2 on 1");
        assert_eq!(gigabytes(6_100), "0.0 MB");
        assert_eq!(gigabytes(14_126_854_144), "14.1 GB");
    }
}
