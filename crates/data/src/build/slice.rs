//! What a stage has of a source, and how much of it in the paper.

use std::fmt;

macro_rules! slices {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $stage:ident, $paper:literal);* $(;)?) => {
        /// The rows that a stage has of a source.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Slice {
            $($(#[$doc])* $name),*
        }

        impl Slice {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name, `stage.source`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The stage.
            #[must_use]
            pub fn stage(self) -> Stage {
                match self { $(Self::$name => Stage::$stage),* }
            }

            /// Its rows in the paper.
            #[must_use]
            pub fn paper(self) -> usize {
                match self { $(Self::$name => $paper),* }
            }
        }
    };
}

slices! {
    /// Conversations that GPT-4 wrote.
    SftLlava = "sft.llava", Sft, 90_000;
    /// Short answers.
    SftVqa = "sft.vqa", Sft, 83_000;
    /// Options, answered with letter and reason.
    SftAokvqa = "sft.aokvqa", Sft, 16_000;
    /// Short captions.
    SftFlickr = "sft.flickr", Sft, 23_000;
    /// Prompts whose answers are compared.
    PreferenceLlava = "preference.llava", Preference, 10_000;
    /// Options, answered with the reason first.
    PolicyInitAokvqa = "policy_init.aokvqa", PolicyInit, 5_000;
    /// Prompts of reinforcement learning that no rule checks.
    RlLlava = "rl.llava", Rl, 50_000;
    /// Options, to be answered with the reason first.
    RlAokvqa = "rl.aokvqa", Rl, 12_000;
    /// Questions whose answer is yes or no.
    RlVqa = "rl.vqa", Rl, 10_000;
}

impl Slice {
    /// The slice of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|slice| slice.name() == name)
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stage that is given data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Supervised fine-tuning.
    Sft,
    /// Prompts of the comparisons.
    Preference,
    /// The policy's start.
    PolicyInit,
    /// Reinforcement learning.
    Rl,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sft, Self::Preference, Self::PolicyInit, Self::Rl];

    /// Its name, which is that of its folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Preference => "preference",
            Self::PolicyInit => "policy_init",
            Self::Rl => "rl",
        }
    }
}
