//! What a response earns besides the score of a reward model: terms, each a number for every response.
//!
//! A [`Term`] of the recipe is opened as one of these sources: a rule, which reads answers as the benchmarks do (`rules.rs`);
//! the rating of a judge that is told the facts (`rater.rs`); or a function of the user's, a process or an address
//! (`function.rs`). What is asked of a judge or a function is kept before it counts, so that nothing is asked twice, and a reply
//! that is no reward is an error and never a zero.

mod command;
mod function;
mod http;
mod rater;
mod recipe;
mod rules;

use std::path::Path;

use candor_data::AnswerType;

use crate::JudgeError;
pub use crate::feedback::asked as question;
pub use command::Process;
pub use recipe::{Source, Term};

/// A response with what its reward may depend on; before it is sampled, with an empty answer.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Name of the prompt.
    pub id: &'a str,
    /// File name of the image, relative to the folder of images; of several as in [`candor_data::shown`].
    pub image: Option<&'a str>,
    /// The question, without the place of the image.
    pub question: &'a str,
    /// The response.
    pub answer: &'a str,
    /// What is known to be true.
    pub facts: &'a [String],
    /// The data set's own answer.
    pub reference: Option<&'a str>,
    /// What a correct answer is, as far as a rule can tell.
    pub answer_type: AnswerType,
    /// Tokens of the response, its end token among them.
    pub n_tokens: usize,
}

/// The terms of a run, opened.
#[derive(Debug)]
pub struct Rewards {
    terms: Vec<(Term, Opened)>,
}

/// Where the numbers of a term come from.
#[derive(Debug)]
enum Opened {
    Rule(rules::Rule),
    Rater(Box<rater::Rater>),
    Function(function::Function),
    /// Another process asks; the fingerprint of whom, where there is one.
    Elsewhere(Option<String>),
    /// A model of the run that the term belongs to, which scores beside its own.
    Model,
}

impl Term {
    /// Whether somebody outside of the run is asked about each response.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(
            self.source,
            Source::Judge(_) | Source::Command(_) | Source::Http(_)
        )
    }

    /// The run folder of the reward model of sentences that it is paid by, if it is.
    #[must_use]
    pub fn segments(&self) -> Option<&Path> {
        match &self.source {
            Source::Segments(folder) => Some(folder),
            _ => None,
        }
    }

    /// Whether it cannot do without facts: the prompt of a judge has a place for them.
    ///
    /// # Errors
    /// The judge's settings or prompt cannot be read.
    pub fn wants_facts(&self) -> Result<bool, JudgeError> {
        match &self.source {
            Source::Judge(recipe) => rater::wants_facts(recipe),
            _ => Ok(false),
        }
    }
}

impl Rewards {
    /// Opens the files of all terms; `images` is the folder of the images.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it must, or the environment lacks a key.
    pub fn open(terms: &[Term], images: &Path) -> Result<Self, JudgeError> {
        let open = |term: &Term| {
            let opened = match &term.source {
                Source::Judge(recipe) => {
                    Opened::Rater(Box::new(rater::Rater::open(&term.name, recipe, images)?))
                }
                Source::Command(recipe) => {
                    Opened::Function(function::Function::command(&term.name, recipe, images)?)
                }
                Source::Http(recipe) => {
                    Opened::Function(function::Function::http(&term.name, recipe, images)?)
                }
                Source::Segments(_) => Opened::Model,
                rule => Opened::Rule(rules::Rule::open(rule)?),
            };
            Ok((term.clone(), opened))
        };
        let terms = terms.iter().map(open).collect::<Result<_, JudgeError>>()?;
        Ok(Self { terms })
    }

    /// As [`Rewards::open`], in a process that asks nobody because another does: no key is needed, and no file of replies is
    /// opened. Only the rules give numbers here.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it must.
    pub fn open_without_asking(terms: &[Term]) -> Result<Self, JudgeError> {
        let open = |term: &Term| {
            let opened = match &term.source {
                Source::Judge(recipe) => Opened::Elsewhere(Some(rater::fingerprint(recipe)?)),
                Source::Command(_) | Source::Http(_) => Opened::Elsewhere(None),
                Source::Segments(_) => Opened::Model,
                rule => Opened::Rule(rules::Rule::open(rule)?),
            };
            Ok((term.clone(), opened))
        };
        let terms = terms.iter().map(open).collect::<Result<_, JudgeError>>()?;
        Ok(Self { terms })
    }

    /// Whether every prompt can be judged, before any is answered. `each` hands out the prompts; it is not called where no term asks.
    ///
    /// # Errors
    /// A term knows nothing of a prompt's image, or applies to no prompt at all; or as `each`.
    pub fn check<E: From<JudgeError>>(
        &self,
        each: impl FnOnce(&mut dyn FnMut(&Answered<'_>)) -> Result<(), E>,
    ) -> Result<(), E> {
        let rules = self.terms.iter().filter_map(|(term, opened)| match opened {
            Opened::Rule(rule) => Some((term.name.as_str(), rule, rules::Told::default())),
            _ => None,
        });
        let mut rules: Vec<_> = rules.collect();
        if rules.is_empty() {
            return Ok(());
        }
        each(&mut |prompt: &Answered<'_>| {
            for (_, rule, told) in &mut rules {
                rule.tell(told, prompt);
            }
        })?;
        for (name, rule, told) in &rules {
            rule.check(name, told)?;
        }
        Ok(())
    }

    /// What decides the rewards and does not stand in the recipe, by name, for the fingerprints of a run.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprints(&self) -> Result<Vec<(String, String)>, JudgeError> {
        let mut found = Vec::new();
        for (term, opened) in &self.terms {
            let fingerprint = match opened {
                Opened::Rule(rule) => rule.fingerprint()?,
                Opened::Rater(rater) => Some(rater.fingerprint()),
                Opened::Function(_) | Opened::Model => None,
                Opened::Elsewhere(fingerprint) => fingerprint.clone(),
            };
            found.extend(fingerprint.map(|sha| (format!("reward {}", term.name), sha)));
        }
        Ok(found)
    }

    /// The number of each term for each response, before its weight; `None` where the term does not apply to the prompt, and of
    /// every [`Source::Segments`], whose numbers are those of a model that nothing here knows.
    ///
    /// # Errors
    /// A judge or a function gave no reward for a response. What was given is kept.
    pub fn of(&mut self, responses: &[Answered<'_>]) -> Result<Vec<Vec<Option<f64>>>, JudgeError> {
        let of_term = |(term, opened): &mut (Term, Opened)| match opened {
            Opened::Rule(rule) => Ok(responses.iter().map(|r| rule.of(r)).collect()),
            Opened::Rater(rater) => rater.of(responses),
            Opened::Function(function) => function.of(responses),
            Opened::Model => Ok(vec![None; responses.len()]),
            Opened::Elsewhere(_) => Err(JudgeError::Reward {
                term: term.name.clone(),
                problem: "it was opened in a process that asks nobody".to_owned(),
                remedy: "ask in the process that opened it to be asked".to_owned(),
            }),
        };
        self.terms.iter_mut().map(of_term).collect()
    }
}
