//! How the decoder's positions turn.

use serde::Deserialize as _;
use serde_json::Value;

use super::Generation;
use crate::config::FEW;

/// Base and axes of the rotary frequencies.
pub(super) struct Rope {
    pub theta: f64,
    /// The axis of each frequency.
    pub axes: Vec<i64>,
}

impl Rope {
    /// Reads base and sections, in the spelling of the hub (`rope_theta` and `rope_scaling`) or of today
    /// (`rope_parameters`).
    ///
    /// # Errors
    /// Neither is there, or they ask for what candor does not compute.
    pub(super) fn of(generation: Generation, text: &Value) -> Result<Self, String> {
        let fields = [&text["rope_parameters"], &text["rope_scaling"]]
            .into_iter()
            .find(|fields| fields.is_object())
            .ok_or("neither `rope_parameters` nor `rope_scaling` says how positions turn")?;
        let kind = ["rope_type", "type"].map(|field| fields[field].as_str());
        for kind in kind.into_iter().flatten() {
            if !["default", "mrope"].contains(&kind) {
                return Err(format!(
                    "`rope_type` is `{kind}`; only `default` and `mrope` are supported"
                ));
            }
        }
        let interleaved = generation == Generation::Qwen3Vl;
        if let Some(found) = fields["mrope_interleaved"].as_bool()
            && found != interleaved
        {
            return Err(format!(
                "`mrope_interleaved` is {found}; {}'s is {interleaved}",
                generation.name()
            ));
        }
        let (usual_theta, usual_sections) = match generation {
            Generation::Qwen2Vl | Generation::Qwen25Vl => (1e6, [16, 24, 24]),
            Generation::Qwen3Vl => (5e5, [24, 20, 20]),
        };
        let theta = fields["rope_theta"]
            .as_f64()
            .or(text["rope_theta"].as_f64());
        let sections = match &fields["mrope_section"] {
            Value::Null => usual_sections.to_vec(),
            sections => Vec::<i64>::deserialize(sections)
                .map_err(|problem| format!("`mrope_section`: {problem}"))?,
        };
        let Ok(sections) = <[i64; 3]>::try_from(sections.as_slice()) else {
            return Err(refused(&sections));
        };
        if sections.iter().any(|n| !(0..=FEW).contains(n)) {
            return Err(refused(&sections));
        }
        Ok(Self {
            theta: theta.unwrap_or(usual_theta),
            axes: if interleaved {
                in_turns(sections)
            } else {
                in_a_row(sections)
            },
        })
    }
}

fn refused(sections: &[i64]) -> String {
    format!("`mrope_section` is {sections:?}, not three numbers of frequencies")
}

/// All frequencies of the first axis, then those of the second and of the third.
fn in_a_row(sections: [i64; 3]) -> Vec<i64> {
    let axes = sections.into_iter().zip(0..);
    axes.flat_map(|(n, axis)| std::iter::repeat_n(axis, n as usize))
        .collect()
}

/// The axes in turns. Where rows or columns have had all of theirs, moments take their turn.
fn in_turns(sections: [i64; 3]) -> Vec<i64> {
    let axis = |at: i64| match at % 3 {
        axis if at < 3 * sections[axis as usize] => axis,
        _ => 0,
    };
    (0..sections.iter().sum()).map(axis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_take_turns_until_rows_and_columns_have_had_theirs() {
        assert_eq!(in_turns([4, 2, 1]), [0, 1, 2, 0, 1, 0, 0]);
        // Qwen3-VL's: 24 of moments, 20 of rows and 20 of columns.
        let published = in_turns([24, 20, 20]);
        assert_eq!(published[..6], [0, 1, 2, 0, 1, 2]);
        assert_eq!(published[57..], [0, 1, 2, 0, 0, 0, 0]);
        assert_eq!(in_a_row([1, 2, 1]), [0, 1, 1, 2]);
    }
}
