//! One question of a benchmark.

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// Its key within its file.
    pub id: String,
    /// Which of the files of questions it is from.
    pub file: usize,
    /// Questions with the same name here are about the same image.
    pub image: String,
    /// What else answers may call its image.
    pub names: [String; 2],
    /// Its words, by which answers are told apart.
    pub question: String,
    /// What a model is asked: its words with hint and options where it has them.
    pub prompt: String,
    /// What it is told after that on a line of its own, by custom; may be empty.
    pub instruction: &'static str,
}
