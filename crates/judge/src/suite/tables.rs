//! The numbers of a suite, a table for each benchmark: a line for each run, and below them one for each model that others
//! published numbers of.

use serde::{Deserialize, Serialize};

use super::published::{Number, Published, Source, published};
use super::{NotMeasured, Suite};
use crate::JudgeError;
use crate::benchmark::Benchmark;
use crate::figures::Figure;
use crate::rows::{self, Cell};
use crate::run::Run;
use crate::verdict::Verdict;

/// What was found of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteFound {
    /// The suite.
    pub suite: Suite,
    /// A table for each of its benchmarks.
    pub tables: Vec<Table>,
    /// What has no numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_measured: Vec<NotMeasured>,
}

/// The numbers of a benchmark: its main one, and those that were published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// How many questions of each file the runs were asked at most, where that is less than the benchmark's custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The numbers.
    pub columns: Vec<Column>,
    /// The runs in their order, then published models.
    pub lines: Vec<Line>,
}

/// A number of all models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in files.
    pub measure: String,
    /// Its name for people.
    pub label: String,
    /// The group of items; empty for all of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Whether more is better, less is (`false`), or neither.
    pub higher_is_better: Option<bool>,
    /// Digits after the point.
    pub decimals: usize,
}

/// The numbers of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The model, or the run.
    pub model: String,
    /// Where its numbers were published; `None` for a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// One for each column.
    pub cells: Vec<Cell>,
}

impl Line {
    /// Whether it has no number at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.value.is_none())
    }
}

impl SuiteFound {
    /// The tables of runs. `seed` decides the intervals of differences and their tests.
    ///
    /// # Errors
    /// The list of published numbers is damaged.
    pub fn of(
        suite: Suite,
        runs: &[Run],
        not_measured: Vec<NotMeasured>,
        seed: u64,
    ) -> Result<Self, JudgeError> {
        let all = published()?;
        let table = |benchmark| {
            let of = |row: &&Published| row.benchmark == benchmark;
            let published: Vec<&Published> = all.iter().filter(of).collect();
            let custom = suite.customary(benchmark);
            table(benchmark, custom, runs, &published, seed)
        };
        Ok(Self {
            suite,
            tables: suite.benchmarks().map(table).collect(),
            not_measured,
        })
    }
}

fn table(
    benchmark: Benchmark,
    custom: Option<usize>,
    runs: &[Run],
    published: &[&Published],
    seed: u64,
) -> Table {
    let columns = columns(benchmark, published);
    let of_run = |(at, run): (usize, &Run)| {
        let first = (at > 0).then(|| &runs[0]);
        let cell = |column: &Column| cell(benchmark, column, run, first, seed);
        Line {
            model: run.name.clone(),
            source: None,
            cells: columns.iter().map(cell).collect(),
        }
    };
    let of_paper = |row: &&Published| {
        let cell = |column: &Column| {
            let is_it = |number: &&Number| column.is(&number.measure, &number.group);
            Cell {
                value: row.numbers.iter().find(is_it).map(|number| number.value),
                ..Cell::default()
            }
        };
        Line {
            model: row.model.clone(),
            source: Some(row.source.clone()),
            cells: columns.iter().map(cell).collect(),
        }
    };
    let lines = runs.iter().enumerate().map(of_run);
    Table {
        benchmark,
        limit: runs.iter().find_map(|run| run.limit(benchmark, custom)),
        lines: lines.chain(published.iter().map(of_paper)).collect(),
        columns,
    }
}

impl Table {
    /// That the runs were asked a part alone, where they were: their numbers are none of the benchmark.
    #[must_use]
    pub fn caveat(&self) -> Option<String> {
        let limit = self.limit?;
        Some(format!(
            "{}: the runs were asked the first {limit} questions of each file at most, so their numbers are none of the \
             benchmark",
            self.benchmark.label()
        ))
    }

    /// The lines of the runs, and those of papers with their sources.
    #[must_use]
    pub fn split(&self) -> (Vec<&Line>, Vec<(&Line, &Source)>) {
        let of_run = |line: &&Line| line.source.is_none();
        (
            self.lines.iter().filter(of_run).collect(),
            (self.lines.iter())
                .filter_map(|line| Some((line, line.source.as_ref()?)))
                .collect(),
        )
    }
}

impl Column {
    /// What it is called, with its group.
    #[must_use]
    pub fn name(&self) -> String {
        if self.group.is_empty() {
            self.label.clone()
        } else {
            format!("{}, {}", self.label, self.group)
        }
    }

    fn is(&self, measure: &str, group: &str) -> bool {
        self.measure == measure && self.group == group
    }
}

/// The main number, and all that were published, in the order of the benchmark's measures.
fn columns(benchmark: Benchmark, published: &[&Published]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (k, measure) in benchmark.measures().enumerate() {
        let numbers = published.iter().flat_map(|row| &row.numbers);
        let of = numbers.filter(|number| number.measure == measure.key);
        let main = (k == 0).then_some("");
        for group in main
            .into_iter()
            .chain(of.map(|number| number.group.as_str()))
        {
            if !columns.iter().any(|column| column.is(measure.key, group)) {
                columns.push(Column {
                    measure: measure.key.to_owned(),
                    label: measure.label.to_owned(),
                    group: group.to_owned(),
                    higher_is_better: measure.better.is_higher(),
                    decimals: measure.decimals,
                });
            }
        }
    }
    columns
}

fn cell(benchmark: Benchmark, column: &Column, run: &Run, first: Option<&Run>, seed: u64) -> Cell {
    let Some(figure) = figure(benchmark, column, run) else {
        return Cell::default();
    };
    let Some(first) = first.filter(|first| figure_is_there(benchmark, column, first)) else {
        return rows::cell(figure);
    };
    let [first, own] = [first, run].map(|run| of_group(benchmark, column, run));
    rows::compared_cell(benchmark, figure, first, own, &column.measure, seed)
}

fn figure<'a>(benchmark: Benchmark, column: &Column, run: &'a Run) -> Option<&'a Figure> {
    let figure = run.results.as_ref()?.figure(benchmark, &column.measure)?;
    if column.group.is_empty() {
        Some(figure)
    } else {
        figure.groups.get(&column.group)
    }
}

fn figure_is_there(benchmark: Benchmark, column: &Column, run: &Run) -> bool {
    figure(benchmark, column, run).is_some_and(|figure| figure.value.is_some())
}

/// The verdicts on the items of a column.
fn of_group<'a>(
    benchmark: Benchmark,
    column: &'a Column,
    run: &'a Run,
) -> impl Iterator<Item = &'a Verdict> {
    let all = run.verdicts.get(&benchmark).into_iter().flatten();
    all.filter(move |verdict| column.group.is_empty() || verdict.group == column.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::figures;
    use crate::results::{Results, Scored};

    /// A run that answered two questions of each of two splits; `right` says which rightly.
    fn run(name: &str, right: [bool; 4]) -> Run {
        let verdict = |(i, right): (usize, bool)| {
            let mut verdict = Verdict {
                id: i.to_string(),
                image: i.to_string(),
                group: ["random", "popular"][i / 2].to_owned(),
                answer: ["No", "Yes"][usize::from(right)].to_owned(),
                ..Verdict::default()
            };
            let hit = f64::from(u8::from(right));
            // Every question's answer is yes: F1 is 2 · hits / (2 · hits + misses).
            verdict.add("f1", 2.0 * hit, 1.0 + hit);
            verdict.add("accuracy", hit, 1.0);
            verdict
        };
        let verdicts: Vec<Verdict> = right.into_iter().enumerate().map(verdict).collect();
        let scored = Scored {
            n: verdicts.len(),
            limit: Some(2),
            figures: figures(Benchmark::Pope, &verdicts, 0),
            ..Scored::default()
        };
        Run {
            name: name.to_owned(),
            verdicts: [(Benchmark::Pope, verdicts)].into(),
            results: Some(Results {
                benchmarks: [(Benchmark::Pope, scored)].into(),
                images: None,
            }),
        }
    }

    #[test]
    fn runs_stand_above_published_models_each_number_in_its_column() {
        let runs = [
            run("a", [true, true, false, false]),
            run("b", [true, true, true, false]),
        ];
        let found = SuiteFound::of(Suite::Paper, &runs, Vec::new(), 0).unwrap();
        let table = &found.tables[1];
        assert_eq!(table.benchmark, Benchmark::Pope);
        let columns: Vec<(&str, &str)> = table
            .columns
            .iter()
            .map(|column| (column.measure.as_str(), column.group.as_str()))
            .collect();
        assert_eq!(
            columns,
            [
                ("accuracy", ""),
                ("f1", "random"),
                ("f1", "popular"),
                ("f1", "adversarial")
            ]
        );
        let values = |line: &Line| line.cells.iter().map(|cell| cell.value).collect::<Vec<_>>();
        // One hit and one miss of the popular split: 2 / (2 + 1).
        assert_eq!(
            values(&table.lines[1]),
            [Some(0.75), Some(1.0), Some(2.0 / 3.0), None]
        );
        let apart = table.lines[1].cells[2].against_first.unwrap();
        assert_eq!((apart.n, apart.difference), (2, Some(2.0 / 3.0)));
        // Of the random split they said the same, of the popular one and so of all not.
        let same = |at: usize| table.lines[1].cells[at].against_first.unwrap().same_answers;
        assert_eq!([same(0), same(1), same(2)], [false, true, false]);
        assert_eq!(table.lines[0].cells[2].against_first, None);
        // The group that nobody was asked has no difference either.
        assert_eq!(table.lines[1].cells[3].against_first, None);
        let paper = table
            .lines
            .iter()
            .find(|line| line.model == "LLaVA-RLHF 7B")
            .unwrap();
        assert_eq!(values(paper), [None, Some(0.833), Some(0.818), Some(0.795)]);
        assert!(paper.source.as_ref().unwrap().paper.contains("2309.14525"));
        let caveat = table.caveat().unwrap();
        assert!(caveat.contains("the first 2 questions"), "{caveat}");
        // What was not run has lines that are empty.
        let mmhal = &found.tables[0];
        assert_eq!(mmhal.caveat(), None);
        assert!(mmhal.lines[0].is_empty() && mmhal.lines[1].is_empty());
        assert!(mmhal.lines.len() > 2 && !mmhal.lines[2].is_empty());
    }

    #[test]
    fn the_customary_number_of_questions_is_the_benchmark() {
        let caveat = |limit| {
            let scored = Scored {
                limit,
                ..Scored::default()
            };
            let run = Run {
                results: Some(Results {
                    benchmarks: [(Benchmark::Chair, scored)].into(),
                    images: None,
                }),
                ..Run::default()
            };
            let found = SuiteFound::of(Suite::Paper, &[run], Vec::new(), 0).unwrap();
            let mut tables = found.tables.iter();
            let chair = tables.find(|table| table.benchmark == Benchmark::Chair);
            chair.unwrap().caveat()
        };
        // CHAIR is asked about 500 images.
        assert_eq!([caveat(None), caveat(Some(500))], [None, None]);
        assert!(caveat(Some(499)).unwrap().contains("the first 499"));
    }
}
