//! The metrics of a run as series over its steps.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::ReportError;
use crate::files;

/// Points of a series: step and value.
pub(crate) type Series = Vec<(f64, f64)>;

/// What a run's `metrics.jsonl` says, by metric. Numbers inside objects are named `outer.inner`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    series: BTreeMap<String, Series>,
}

impl Metrics {
    /// Reads a run folder's metrics; `None` if it has none.
    ///
    /// # Errors
    /// A line is not a JSON object with a `step`.
    pub fn read(folder: &Path) -> Result<Option<Self>, ReportError> {
        let path = folder.join("metrics.jsonl");
        let Some(rows) = files::json_lines_if_there::<Map<String, Value>>(&path)? else {
            return Ok(None);
        };
        let mut metrics = Self::default();
        for (index, row) in rows.iter().enumerate() {
            let step = row.get("step").and_then(Value::as_f64).ok_or_else(|| {
                ReportError::damaged(&path, Some(index + 1), &"there is no number `step`")
            })?;
            metrics.take("", step, row);
        }
        Ok(Some(metrics))
    }

    fn take(&mut self, prefix: &str, step: f64, row: &Map<String, Value>) {
        for (name, value) in row {
            let name = format!("{prefix}{name}");
            match value {
                Value::Number(number) if name != "step" => {
                    if let Some(number) = number.as_f64() {
                        self.series.entry(name).or_default().push((step, number));
                    }
                }
                Value::Object(inner) => self.take(&format!("{name}."), step, inner),
                _ => {}
            }
        }
    }

    /// A series; nothing for a metric that the run does not have.
    #[must_use]
    pub fn series(&self, name: &str) -> &[(f64, f64)] {
        self.series.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The mean of each point and its neighbours: a window of `width` points, cut off at the ends.
#[must_use]
pub(crate) fn smoothed(series: &[(f64, f64)], width: usize) -> Series {
    let reach = width / 2;
    (0..series.len())
        .map(|i| {
            let window = &series[i.saturating_sub(reach)..(i + reach + 1).min(series.len())];
            let sum: f64 = window.iter().map(|(_, value)| value).sum();
            (series[i].0, sum / window.len() as f64)
        })
        .collect()
}

/// At most about `wanted` points of a series, the last one always among them.
#[must_use]
pub(crate) fn thinned(series: &[(f64, f64)], wanted: usize) -> Series {
    let stride = series.len().div_ceil(wanted.max(1)).max(1);
    let offset = series.len().saturating_sub(1) % stride;
    series
        .iter()
        .copied()
        .skip(offset)
        .step_by(stride)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("metrics.jsonl"), text).unwrap();
        dir
    }

    #[test]
    fn numbers_become_series_and_what_is_null_is_left_out() {
        let dir = written(
            "{\"step\": 1, \"loss\": 2.5, \"kl\": {\"mean\": 0.1}, \"name\": \"x\"}\n\n{\"step\": 2, \"loss\": null, \"kl\": {\"mean\": 0.2}}\n",
        );
        let metrics = Metrics::read(dir.path()).unwrap().unwrap();
        assert_eq!(metrics.series("loss"), [(1.0, 2.5)]);
        assert_eq!(metrics.series("kl.mean"), [(1.0, 0.1), (2.0, 0.2)]);
        assert_eq!(metrics.series("step"), []);
        assert_eq!(metrics.series("name"), []);
    }

    #[test]
    fn damage_is_named_with_its_line_and_absence_is_none() {
        for text in ["{\"step\": 1}\n{\"step\"", "{\"step\": 1}\n{\"loss\": 1}\n"] {
            let dir = written(text);
            let message = Metrics::read(dir.path()).unwrap_err().to_string();
            assert!(message.contains("metrics.jsonl, line 2"), "{message}");
        }
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(Metrics::read(nothing.path()).unwrap(), None);
    }

    #[test]
    fn smoothing_worked_by_hand() {
        let series = [(1.0, 0.0), (2.0, 3.0), (3.0, 6.0), (4.0, 0.0)];
        let found = smoothed(&series, 3);
        assert_eq!(found, [(1.0, 1.5), (2.0, 3.0), (3.0, 3.0), (4.0, 3.0)]);
        assert_eq!(smoothed(&series, 1), series);
    }

    #[test]
    fn thinning_keeps_the_last_point() {
        let series: Series = (0..10).map(|i| (f64::from(i), 0.0)).collect();
        let steps: Vec<f64> = thinned(&series, 4).iter().map(|point| point.0).collect();
        assert_eq!(steps, [0.0, 3.0, 6.0, 9.0]);
        let steps: Vec<f64> = thinned(&series, 5).iter().map(|point| point.0).collect();
        assert_eq!(steps, [1.0, 3.0, 5.0, 7.0, 9.0]);
        assert_eq!(thinned(&series, 100), series);
        assert_eq!(thinned(&[], 4), []);
    }
}
