//! Log-probabilities of answers under a model, with gradients and without.
//!
//! Both answers of a comparison read its prompt, image included, once; a rated answer is alone. Where the image is compared with
//! a spoilt one, the pass has the comparison a second time with that; of this only the preferred answer counts.

use candor_model::{
    Activations, Adapter, Bundle, Features, ImageFeatures, SharedPrefix, SharedTargets,
};
use candor_run::Ranks;
use tch::{Device, Kind, Tensor};

use crate::DpoError;
use crate::all_rows::Rows;
use crate::answers::Answers;
use crate::counting::counted;
use crate::loss::{self, Logprobs};
use crate::rows::Row;
use crate::spoilt::Spoilt;

/// A model with what it sees.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The base with its tokenizer.
    pub bundle: &'a Bundle,
    /// The adapter, if there is one.
    pub adapter: Option<&'a Adapter>,
    /// Features of the images of all rows.
    pub features: &'a ImageFeatures,
    /// The spoilt ones, where the objective has them.
    pub spoilt: Option<&'a Spoilt>,
    /// Whether log-probabilities are means over tokens.
    pub mean: bool,
    /// Who the passes without gradients are shared out to.
    pub ranks: &'a Ranks,
}

/// Log-probabilities of the answers of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Of the preferred answer.
    pub chosen: f64,
    /// Of the other; of a rated answer the same.
    pub rejected: f64,
    /// Of the preferred answer under a spoilt image; none where there is no image, or nothing is spoilt.
    pub spoilt: Option<f64>,
    /// −log π of the preferred answer's tokens, added up without weights; 0 of a bad one.
    pub nll: f64,
}

impl Scored {
    /// As numbers, with a last one that says whether there is a spoilt image.
    #[must_use]
    pub fn to_numbers(self) -> [f64; 5] {
        let shown = f64::from(u8::from(self.spoilt.is_some()));
        let spoilt = self.spoilt.unwrap_or(0.0);
        [self.chosen, self.rejected, self.nll, spoilt, shown]
    }

    /// What [`Scored::to_numbers`] gave.
    #[must_use]
    pub fn of_numbers([chosen, rejected, nll, spoilt, shown]: [f64; 5]) -> Self {
        Self {
            chosen,
            rejected,
            spoilt: (shown > 0.0).then_some(spoilt),
            nll,
        }
    }
}

/// Answers that go through the model together.
struct Pass {
    targets: SharedTargets,
    /// `[n_items · n_answers, longest]` f64, 0 where there is no token.
    weights: Tensor,
    features: Option<Features>,
    n_rows: i64,
    /// Answers of a row.
    n_answers: i64,
    /// As [`Logprobs::desirable`].
    desirable: Option<Tensor>,
    /// As [`Logprobs::severity`].
    severity: Option<Tensor>,
    /// Which of the rows have a spoilt image; their items come after those of all rows.
    with_spoilt: Vec<i64>,
}

/// What a pass found of its rows.
struct Read {
    logprobs: Logprobs,
    /// −log π of the preferred answers' tokens, `[n]` f64.
    nll: Tensor,
}

impl Policy<'_> {
    /// Log-probabilities of rows, in passes of at most `batch_rows` rows of nearly one length.
    ///
    /// # Errors
    /// An image was never encoded.
    pub fn scores(
        &self,
        rows: &[&Row],
        batch_rows: usize,
        progress: impl FnMut(usize, usize),
    ) -> Result<Vec<Scored>, DpoError> {
        let of_pass = |pass: &[usize]| self.scores_of_pass(&chosen(rows, pass));
        let found = in_passes(self.ranks, &lengths(rows), batch_rows, progress, of_pass)?;
        Ok(found.into_iter().map(Scored::of_numbers).collect())
    }

    /// [`Policy::scores`] of all rows of a run, which are read from the disk pass by pass.
    ///
    /// # Errors
    /// As [`Policy::scores`], or the disk fails.
    pub fn scores_of_all(
        &self,
        rows: &Rows,
        batch_rows: usize,
        progress: impl FnMut(usize, usize),
    ) -> Result<Vec<Scored>, DpoError> {
        let of_pass = |pass: &[usize]| {
            // Answers to other prompts are scored by themselves.
            let read = pass.iter().map(|&row| rows.alone(row));
            let read = read.collect::<Result<Vec<Row>, DpoError>>()?;
            self.scores_of_pass(&read.iter().collect::<Vec<_>>())
        };
        let found = in_passes(self.ranks, &rows.lengths(), batch_rows, progress, of_pass)?;
        Ok(found.into_iter().map(Scored::of_numbers).collect())
    }

    fn scores_of_pass(&self, rows: &[&Row]) -> Result<Vec<[f64; 5]>, DpoError> {
        let pass = self.pass_of_rows(rows)?;
        let read = pass.read(&self.logprobs(&pass), self.mean);
        let scored = scored(rows, &pass, &read);
        Ok(scored.into_iter().map(Scored::to_numbers).collect())
    }

    /// Log-probabilities of the mismatched answers of rows that have such.
    ///
    /// # Errors
    /// An image was never encoded.
    ///
    /// # Panics
    /// A row has none.
    pub fn mismatched(
        &self,
        rows: &[&Row],
        batch_rows: usize,
        progress: impl FnMut(usize, usize),
    ) -> Result<Vec<[f64; 2]>, DpoError> {
        let of_pass = |pass: &[usize]| self.mismatched_of_pass(&chosen(rows, pass));
        in_passes(self.ranks, &lengths(rows), batch_rows, progress, of_pass)
    }

    /// [`Policy::mismatched`] of all rows of a run, which are read from the disk pass by pass.
    ///
    /// # Errors
    /// As [`Policy::mismatched`], or the disk fails.
    ///
    /// # Panics
    /// The rows have none.
    pub fn mismatched_of_all(
        &self,
        rows: &Rows,
        batch_rows: usize,
        progress: impl FnMut(usize, usize),
    ) -> Result<Vec<[f64; 2]>, DpoError> {
        let of_pass = |pass: &[usize]| {
            let read = rows.rows(pass.iter().copied())?;
            self.mismatched_of_pass(&read.iter().collect::<Vec<_>>())
        };
        in_passes(self.ranks, &rows.lengths(), batch_rows, progress, of_pass)
    }

    fn mismatched_of_pass(&self, rows: &[&Row]) -> Result<Vec<[f64; 2]>, DpoError> {
        let answers = rows.iter().map(|row| row.mismatched.as_ref());
        let answers: Option<Vec<&Answers>> = answers.collect();
        let pass = self.pass(&answers.expect("mismatched answers"), rows, &[])?;
        let Logprobs {
            chosen, rejected, ..
        } = pass.read(&self.logprobs(&pass), self.mean).logprobs;
        let (chosen, rejected) = (to_host(&chosen), to_host(&rejected));
        Ok(chosen
            .into_iter()
            .zip(rejected)
            .map(|(c, r)| [c, r])
            .collect())
    }

    /// Forward and backward of one pass: `loss` gets the log-probabilities of its rows and the negative log-probabilities of
    /// the preferred answers' tokens, and gives a scalar. Returns what the rows were scored.
    ///
    /// # Errors
    /// An image was never encoded.
    pub fn backward(
        &self,
        rows: &[&Row],
        activations: Activations,
        loss: impl FnOnce(&Logprobs, &Tensor) -> Tensor,
    ) -> Result<Vec<Scored>, DpoError> {
        let pass = self.pass_of_rows(rows)?;
        let (model, features) = (&self.bundle.model, pass.features.as_ref());
        let read = |logprobs: &Tensor| {
            let read = pass.read(logprobs, self.mean);
            (loss(&read.logprobs, &read.nll), scored(rows, &pass, &read))
        };
        Ok(
            model.backward_logprobs_shared(
                &pass.targets,
                features,
                self.adapter,
                activations,
                read,
            ),
        )
    }

    fn logprobs(&self, pass: &Pass) -> Tensor {
        let (model, features) = (&self.bundle.model, pass.features.as_ref());
        tch::no_grad(|| model.logprobs_shared(&pass.targets, features, self.adapter))
    }

    /// The answers of rows, those of rows with an image a second time where images are spoilt.
    fn pass_of_rows(&self, rows: &[&Row]) -> Result<Pass, DpoError> {
        let has_image = |i: &i64| rows[*i as usize].answers.shared.image.is_some();
        let with_spoilt: Vec<i64> = match self.spoilt {
            Some(_) => (0..rows.len() as i64).filter(has_image).collect(),
            None => Vec::new(),
        };
        let again = with_spoilt.iter().map(|&i| rows[i as usize]);
        let answers: Vec<&Answers> = rows
            .iter()
            .copied()
            .chain(again)
            .map(|row| &row.answers)
            .collect();
        self.pass(&answers, rows, &with_spoilt)
    }

    fn pass(
        &self,
        answers: &[&Answers],
        rows: &[&Row],
        with_spoilt: &[i64],
    ) -> Result<Pass, DpoError> {
        let device = self.bundle.model.device();
        let items: Vec<&SharedPrefix> = answers.iter().map(|answers| &answers.shared).collect();
        let targets = SharedTargets::new(&items, self.bundle.tokenizer.pad, device);
        let weights = answers.iter().flat_map(|answers| &answers.weights);
        Ok(Pass {
            weights: padded(weights, targets.mask().size()[1] as usize).to_device(device),
            targets,
            features: self.features_of(&items[..rows.len()], rows, with_spoilt)?,
            n_rows: rows.len() as i64,
            n_answers: items[0].branches.len() as i64,
            desirable: desirable(rows).map(|desirable| desirable.to_device(device)),
            severity: severity(rows).map(|severity| severity.to_device(device)),
            with_spoilt: with_spoilt.to_vec(),
        })
    }

    /// The images of items, then the spoilt ones of some rows.
    fn features_of(
        &self,
        items: &[&SharedPrefix],
        rows: &[&Row],
        with_spoilt: &[i64],
    ) -> Result<Option<Features>, DpoError> {
        let names = || items.iter().filter_map(|item| item.image.as_deref());
        let own = self.features.of(names());
        if let (None, Some(missing)) = (
            &own,
            names().find(|name| self.features.of([*name]).is_none()),
        ) {
            return Err(DpoError::Unfit {
                path: missing.into(),
                problem: "the image was not encoded".to_owned(),
                remedy: "encode the images of all rows first",
            });
        }
        let spoilt: Vec<&Row> = with_spoilt.iter().map(|&i| rows[i as usize]).collect();
        let spoilt = self.spoilt.and_then(|all| all.of(&spoilt, self.features));
        Ok(match (own, spoilt) {
            (Some(own), Some(spoilt)) => Features::cat([&own, &spoilt]),
            (own, _) => own,
        })
    }
}

impl Pass {
    /// # Shapes
    /// `logprobs`: `[n_items · n_answers, longest]`.
    fn read(&self, logprobs: &Tensor, mean: bool) -> Read {
        let of_items = |x: Tensor| x.reshape([-1, self.n_answers]);
        let all = of_items(counted(logprobs, &self.weights, mean));
        let rows = all.narrow(0, 0, self.n_rows);
        let chosen = rows.select(1, 0);
        let spoilt = (!self.with_spoilt.is_empty()).then(|| {
            let n = self.with_spoilt.len() as i64;
            let which = Tensor::from_slice(&self.with_spoilt).to_device(all.device());
            let nothing = chosen.detach().zeros_like();
            let values = all.narrow(0, self.n_rows, n).select(1, 0);
            loss::Spoilt {
                chosen: nothing.index_add(0, &which, &values),
                shown: nothing.index_fill(0, &which, 1.0),
            }
        });
        let plain = self.weights.gt(0.0).to_kind(Kind::Double);
        let nll = of_items(-counted(logprobs, &plain, false));
        let nll = nll.narrow(0, 0, self.n_rows).select(1, 0);
        Read {
            nll: match &self.desirable {
                Some(desirable) => nll * desirable,
                None => nll,
            },
            logprobs: Logprobs {
                // Of one answer the first and the last are the same.
                rejected: rows.select(1, -1),
                chosen,
                spoilt,
                desirable: (self.desirable.as_ref()).map(Tensor::shallow_clone),
                severity: (self.severity.as_ref()).map(Tensor::shallow_clone),
            },
        }
    }
}

/// What was read of rows, on the host.
fn scored(rows: &[&Row], pass: &Pass, read: &Read) -> Vec<Scored> {
    let spoilt = read
        .logprobs
        .spoilt
        .as_ref()
        .map(|spoilt| to_host(&spoilt.chosen));
    let all = [&read.logprobs.chosen, &read.logprobs.rejected, &read.nll];
    let all = to_host(&Tensor::stack(&all.map(|x| x.to_kind(Kind::Double)), 0));
    let n = rows.len();
    let of_row = |i: usize| Scored {
        chosen: all[i],
        rejected: all[n + i],
        spoilt: spoilt
            .as_ref()
            .filter(|_| pass.with_spoilt.contains(&(i as i64)))
            .map(|spoilt| spoilt[i]),
        nll: all[2 * n + i],
    };
    (0..n).map(of_row).collect()
}

/// 1 for each good one of rated answers and 0 for each other, `[n]` f64 on the CPU; none of comparisons.
#[must_use]
pub fn desirable(rows: &[&Row]) -> Option<Tensor> {
    let number = |row: &&Row| {
        row.rating()
            .map(|is_desirable| f64::from(u8::from(is_desirable)))
    };
    let numbers: Option<Vec<f64>> = rows.iter().map(number).collect();
    numbers.map(|numbers| loss::column(&numbers))
}

/// How often the other answers of comparisons count in the loss, `[n]` f64 on the CPU; none where rows do not say it.
#[must_use]
pub fn severity(rows: &[&Row]) -> Option<Tensor> {
    let numbers = rows.iter().map(|row| row.answers.other_times);
    let numbers: Option<Vec<f64>> = numbers.collect();
    numbers.map(|numbers| loss::column(&numbers))
}

/// Log-probabilities as the loss takes them, on the CPU, without the ratings and what rows say of how bad an answer is.
#[must_use]
pub fn columns(scored: &[Scored]) -> Logprobs {
    let of =
        |value: fn(&Scored) -> f64| loss::column(&scored.iter().map(value).collect::<Vec<_>>());
    let any = scored.iter().any(|row| row.spoilt.is_some());
    Logprobs {
        chosen: of(|row| row.chosen),
        rejected: of(|row| row.rejected),
        spoilt: any.then(|| loss::Spoilt {
            chosen: of(|row| row.spoilt.unwrap_or(0.0)),
            shown: of(|row| f64::from(u8::from(row.spoilt.is_some()))),
        }),
        desirable: None,
        severity: None,
    }
}

/// What updates compute for each of some rows, in tokens.
fn lengths(rows: &[&Row]) -> Vec<usize> {
    rows.iter().map(|row| row.n_tokens).collect()
}

/// The rows of a pass, by their places among all.
fn chosen<'a>(rows: &[&'a Row], pass: &[usize]) -> Vec<&'a Row> {
    pass.iter().map(|&i| rows[i]).collect()
}

/// Does something with rows of these lengths in passes, longest first: the largest pass comes at the start, where a lack of memory
/// should show. The results are in the order of the rows; `of_pass` gets places in that order.
fn in_passes<const N: usize>(
    ranks: &Ranks,
    lengths: &[usize],
    batch_rows: usize,
    mut progress: impl FnMut(usize, usize),
    mut of_pass: impl FnMut(&[usize]) -> Result<Vec<[f64; N]>, DpoError>,
) -> Result<Vec<[f64; N]>, DpoError> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(lengths[i]), i));
    let chunks: Vec<&[usize]> = order.chunks(batch_rows.max(1)).collect();
    let of_passes = ranks.share_numbers(chunks.len(), |pass| {
        let values = of_pass(chunks[pass])?;
        progress(pass * batch_rows.max(1) + chunks[pass].len(), lengths.len());
        Ok::<_, DpoError>(values.into_flattened())
    })?;
    let mut found = vec![[0.0; N]; lengths.len()];
    for (&i, value) in order.iter().zip(of_passes.concat().as_chunks().0) {
        found[i] = *value;
    }
    Ok(found)
}

/// Rows of weights with zeros after them, `[n, longest]` f64.
fn padded<'a>(rows: impl Iterator<Item = &'a Vec<f64>>, longest: usize) -> Tensor {
    let zeros = |row: &Vec<f64>| std::iter::repeat_n(0.0, longest - row.len());
    let values: Vec<f64> = rows
        .flat_map(|row| row.iter().copied().chain(zeros(row)))
        .collect();
    Tensor::from_slice(&values).reshape([-1, longest as i64])
}

/// Numbers on the host.
///
/// # Shapes
/// Any shape, flattened.
#[must_use]
pub fn to_host(values: &Tensor) -> Vec<f64> {
    let host = values
        .detach()
        .to_kind(Kind::Double)
        .to_device(Device::Cpu)
        .contiguous();
    let mut numbers = vec![0.0; host.numel()];
    host.copy_data(&mut numbers, host.numel());
    numbers
}
