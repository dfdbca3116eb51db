//! Words around a letter that make it a stated option, or that take it back.

/// Nouns for what is asked for.
pub(super) const ANSWER: &[&str] = &[
    "answer",
    "answers",
    "ans",
    "solution",
    "response",
    "result",
    "conclusion",
    "guess",
    "correct",
    "right",
    "antwort",
    "lösung",
    "respuesta",
    "réponse",
    "resposta",
    "risposta",
    "ответ",
];
/// Nouns for an option; after them a letter is one, though not yet a choice.
pub(super) const OPTION: &[&str] = &[
    "option",
    "options",
    "choice",
    "choices",
    "letter",
    "alternative",
    "opción",
    "opção",
    "opzione",
    "lettre",
    "letra",
    "buchstabe",
    "вариант",
];
/// Verbs of choosing.
pub(super) const CHOOSE: &[&str] = &[
    "choose",
    "chose",
    "choosing",
    "pick",
    "picked",
    "picking",
    "select",
    "selected",
    "selecting",
    "go",
    "going",
    "think",
    "believe",
    "say",
    "guess",
    "vote",
    "prefer",
    "corresponds",
    "matches",
    "wähle",
    "elijo",
    "choisis",
    "scelgo",
];
/// Words before a conclusion, with or without a comma.
pub(super) const CONCLUDE: &[&str] = &[
    "so",
    "therefore",
    "thus",
    "hence",
    "donc",
    "actually",
    "wait",
    "sorry",
    "no",
    "yes",
    "sure",
    "okay",
    "ok",
    "well",
    "finally",
];
/// What a link may refer back to.
pub(super) const PRONOUN: &[&str] = &["it", "that", "this", "which", "it's", "that's"];
/// Between a cue and its letter, and after a letter before its predicate.
pub(super) const LINK: &[&str] = &[
    "is", "be", "was", "are", "were", "would", "should", "must", "will", "seems", "looks",
    "appears", "it's", "that's", "ist", "est", "es", "é", "è", "sind",
];
/// Words that change nothing.
pub(super) const FILLER: &[&str] = &[
    "the",
    "to",
    "with",
    "for",
    "as",
    "my",
    "our",
    "final",
    "clearly",
    "definitely",
    "certainly",
    "probably",
    "likely",
    "most",
    "obviously",
    "simply",
    "really",
    "surely",
    "maybe",
    "perhaps",
    "necessarily",
    "either",
    "both",
    "number",
    "therefore",
    "thus",
    "hence",
    "then",
    "la",
    "el",
    "le",
    "a",
    "l",
    "die",
    "der",
    "das",
    "opt",
    "best",
    "indeed",
    "only",
    "one",
    "all",
    "more",
    "very",
    "overall",
    "single",
];
/// What denies.
pub(super) const NOT: &[&str] = &[
    "not", "isn't", "aren't", "wasn't", "can't", "cannot", "never", "no", "neither", "nor",
    "don't", "doesn't", "wouldn't", "nicht", "pas", "non", "não",
];
/// What sets an option aside; "rather than" and "instead of" by their last words.
pub(super) const ASIDE: &[&str] = &[
    "than",
    "of",
    "unlike",
    "except",
    "exclude",
    "excluding",
    "eliminate",
    "eliminating",
    "out",
    "without",
    "discard",
];
/// What leaves a choice open.
pub(super) const HEDGE: &[&str] = &["could", "might", "may", "can", "if", "whether"];
/// What a right option is called.
pub(super) const GOOD: &[&str] = &[
    "correct",
    "right",
    "true",
    "best",
    "accurate",
    "answer",
    "solution",
    "appropriate",
    "choice",
    "option",
    "suitable",
    "richtig",
    "correcte",
    "correcta",
    "correto",
    "corretta",
];
/// What a wrong option is called.
pub(super) const BAD: &[&str] = &[
    "wrong",
    "incorrect",
    "false",
    "out",
    "impossible",
    "unlikely",
    "eliminated",
    "excluded",
    "ruled",
    "inaccurate",
    "falsch",
    "faux",
    "incorrecta",
];
/// Reasons and contrasts, which follow a letter and never an article or a noun's initial.
pub(super) const REASON: &[&str] = &[
    "because", "since", "as", "due", "given", "based", "rather", "instead", "not", "but", "weil",
    "parce", "porque",
];
/// Verbs and joints that may follow a letter and no article.
pub(super) const AFTER: &[&str] = &[
    "is",
    "was",
    "and",
    "or",
    "so",
    "for",
    "in",
    "on",
    "it",
    "which",
    "the",
    "this",
    "seems",
    "looks",
    "fits",
    "matches",
    "shows",
    "appears",
    "would",
    "should",
    "has",
    "describes",
    "depicts",
    "represents",
    "here",
    "if",
    "from",
    "according",
    "isn't",
    "can't",
    "cannot",
];
/// Between options that are named together.
pub(super) const JOIN: &[&str] = &["or", "and", "nor", "oder", "und", "ou", "et"];
/// The same without blanks.
pub(super) const JOIN_RUNS: &[&str] = &["和", "或", "或者", "与", "與", "및", "또는", "か", "と"];

/// What ends a run before a letter that is stated.
pub(super) const RUN_BEFORE: &[&str] = &[
    "答案是",
    "答案为",
    "答案為",
    "答案",
    "应该是",
    "應該是",
    "选",
    "選",
    "选择",
    "選擇",
    "答えは",
    "正解は",
    "答え",
    "정답은",
    "정답",
    "답은",
    "답",
];
/// What ends a run before a letter that is an option.
pub(super) const RUN_OPTION: &[&str] = &["选项", "選項", "選択肢", "옵션"];
/// What denies, in a run.
pub(super) const RUN_NOT: &[&str] = &[
    "不是", "不选", "不選", "不应", "不應", "并非", "错", "錯", "不对", "不對",
];
/// What a right option is called, in a run.
pub(super) const RUN_GOOD: &[&str] = &["正确", "正確", "对", "對", "正解", "정답"];
/// What a wrong option is called, in a run.
pub(super) const RUN_BAD: &[&str] = &["不正确", "不正確", "不对", "不對", "错", "錯", "不是"];
