use super::*;
use proptest::prelude::*;

fn options() -> BTreeMap<char, String> {
    [
        ('A', "a cup"),
        ('B', "a pan"),
        ('C', "bigger"),
        ('D', "twelve plates"),
    ]
    .map(|(letter, text)| (letter, text.to_owned()))
    .into()
}

/// What a person reads in these answers; '-' for no choice. docs/evaluation.md has what other tools read.
const PHRASINGS: &[(&str, char)] = &[
    // Letters that stand alone.
    ("B", 'B'),
    ("b", 'B'),
    ("B.", 'B'),
    ("B)", 'B'),
    ("(B)", 'B'),
    ("(b)", 'B'),
    ("[B]", 'B'),
    ("**B**", 'B'),
    ("\"B\"", 'B'),
    ("`B`", 'B'),
    ("B\n", 'B'),
    ("Ｂ", 'B'),
    ("<answer>B</answer>", 'B'),
    ("\\boxed{B}", 'B'),
    ("$\\boxed{\\text{B}}$", 'B'),
    ("<think>Is it A? Or C?</think>B", 'B'),
    // Letters with what they stand for, or with a reason.
    ("B. a pan", 'B'),
    ("B) a pan", 'B'),
    ("b: a pan", 'B'),
    ("(B) a pan", 'B'),
    ("B a pan", 'B'),
    ("B - a pan", 'B'),
    ("**B. a pan**", 'B'),
    ("B because a pan is bigger.", 'B'),
    ("B, because it is bigger.", 'B'),
    ("B, a cup would not fit.", 'B'),
    ("B. It is bigger than a cup.", 'B'),
    ("A because a pan is bigger.", 'A'),
    ("B is correct.", 'B'),
    ("A is correct.", 'A'),
    ("B fits the picture.", 'B'),
    // Statements.
    ("The answer is B because a pan is bigger.", 'B'),
    ("The answer is B.", 'B'),
    ("the answer is b", 'B'),
    ("The answer is a.", 'A'),
    ("The answer is: B", 'B'),
    ("Answer: B", 'B'),
    ("Answer: **B**", 'B'),
    ("**Answer:** B", 'B'),
    ("**Answer: B**", 'B'),
    ("Answer:\nB", 'B'),
    ("## Answer\n\nB", 'B'),
    ("Final answer: (B)", 'B'),
    ("The correct answer is **B**. It is bigger.", 'B'),
    ("The correct option is (B)", 'B'),
    ("The correct answer is option B.", 'B'),
    ("The answer to the question is B.", 'B'),
    ("My answer would be B.", 'B'),
    ("Option B", 'B'),
    ("Option B is correct", 'B'),
    ("Option (B) is the right one", 'B'),
    ("I choose B", 'B'),
    ("I would go with B.", 'B'),
    ("I think it's B.", 'B'),
    ("It is B.", 'B'),
    ("So, B.", 'B'),
    ("It is bigger than a cup.\n\nB", 'B'),
    ("It is bigger than a cup. Therefore, the answer is B.", 'B'),
    ("Sure! The answer is B.", 'B'),
    ("This corresponds to option B.", 'B'),
    ("The thing on the stove (B) holds twelve plates.", 'B'),
    ("答案是B", 'B'),
    ("答案：B。", 'B'),
    ("应该选B，因为更大", 'B'),
    ("B是正确的", 'B'),
    ("정답은 B입니다", 'B'),
    ("Die Antwort ist B.", 'B'),
    ("La respuesta correcta es la B.", 'B'),
    ("Réponse : B", 'B'),
    // Several letters.
    (
        "A. a cup\nB. a pan\nC. bigger\nD. twelve plates\nThe answer is B.",
        'B',
    ),
    ("A. a cup\nB. a pan\nC. bigger\nD. twelve plates", '-'),
    ("A: no. B: yes. C: no. The answer is B.", 'B'),
    ("(A) a cup (B) a pan", '-'),
    ("Not A but B", 'B'),
    ("not A, but B", 'B'),
    ("B, not A", 'B'),
    ("B rather than A", 'B'),
    ("A is wrong, so the answer is B.", 'B'),
    ("A is too small, C is no thing. The answer is B.", 'B'),
    ("Between A and B, I choose B.", 'B'),
    ("A and C are wrong; B is right.", 'B'),
    ("A or B", '-'),
    ("Either A or B", '-'),
    ("A and B", '-'),
    ("A, B", '-'),
    ("A/B", '-'),
    ("The answer is A or B.", '-'),
    ("The answer is A. The answer is B.", '-'),
    ("B. The answer is C.", '-'),
    ("<answer>A</answer> <answer>B</answer>", '-'),
    ("The answer is not A.", '-'),
    ("不是A", '-'),
    // Letters that are none.
    ("A pan is bigger than I thought.", '-'),
    ("A pan", 'B'),
    ("I see a pan.", 'B'),
    ("The answer is a pan.", 'B'),
    ("I think it is a pan.", 'B'),
    ("A cup.", 'A'),
    ("It is not a cup but a pan.", 'B'),
    ("Two pans of grade A steel", '-'),
    ("A-frame", '-'),
    ("The U.S. has a pan", 'B'),
    // Letters that no option has.
    ("E", '-'),
    ("E. a pan", '-'),
    ("The answer is F.", '-'),
    // Words.
    ("bigger", 'C'),
    ("A cup or a pan", '-'),
    ("It looks like a. Pan left of it", '-'),
    ("Both", '-'),
    ("I cannot tell.", '-'),
    ("", '-'),
];

#[test]
fn phrasings_are_read_as_people_read_them() {
    let options = options();
    let wrong: Vec<String> = PHRASINGS
        .iter()
        .filter_map(|(answer, expected)| {
            let found = read(answer, &options).unwrap_or('-');
            (found != *expected).then(|| format!("{answer:?}: {found}, expected {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_longer_option_hides_a_shorter_one_and_an_option_may_be_a_letter() {
    let of = |texts: &[&str]| -> BTreeMap<char, String> {
        ('A'..)
            .zip(texts.iter().map(|text| (*text).to_owned()))
            .collect()
    };
    let dogs = of(&["dog", "hot dog", "no dog"]);
    assert_eq!(read("There is a hot dog.", &dogs), Some('B'));
    assert_eq!(read("It is hot. Dogs rest, one dog", &dogs), Some('A'));
    assert_eq!(read("There is no dog.", &dogs), Some('C'));
    let signs = of(&["T", "U"]);
    assert_eq!(read("T", &signs), Some('A'));
    assert_eq!(read("The answer is U.", &signs), Some('B'));
    let many = of(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(read("I", &many), Some('I'));
    assert_eq!(read("I think it is E.", &many), Some('E'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_stated_letter_wins_over_any_explanation(
        letter in 0..4_usize,
        form in 0..8_usize,
        mark in 0..4_usize,
        told in prop::collection::vec(0..4_usize, 0..4),
    ) {
        let letter = ['A', 'B', 'C', 'D'][letter];
        let [open, close] = [["", ""], ["**", "**"], ["\"", "\""], ["(", ")"]][mark];
        let marked = format!("{open}{letter}{close}");
        let options = options();
        let explained: Vec<&str> = told
            .iter()
            .map(|k| options.values().nth(*k).map_or("", String::as_str))
            .collect();
        let because = format!("because it shows {}.", explained.join(", "));
        let answer = match form {
            0 => format!("{marked} {because}"),
            1 => format!("The answer is {marked} {because}"),
            2 => format!("Answer: {marked}\n{because}"),
            3 => format!("{because}\n\n{marked}"),
            4 => format!("Option {marked} is correct {because}"),
            5 => format!("I choose option {marked} {because}"),
            6 => format!("{because} So the correct answer is {marked}."),
            _ => format!("{because} Final answer:\n{marked}\n"),
        };
        prop_assert_eq!(read(&answer, &options), Some(letter), "{}", answer);
    }

    #[test]
    fn two_different_statements_are_no_choice(first in 0..4_usize, second in 0..4_usize) {
        let [a, b] = [first, second].map(|k| ['A', 'B', 'C', 'D'][k]);
        let answer = format!("The answer is {a}. No, the answer is {b}.");
        let expected = (a == b).then_some(a);
        prop_assert_eq!(read(&answer, &options()), expected, "{}", answer);
    }

    #[test]
    fn nothing_that_is_said_panics(text in ".{0,60}", pieces in prop::collection::vec(0..12_usize, 0..12)) {
        let fragments = ["A", "B", "(", ")", "not ", " or ", ". ", "\n", "the answer is ", "选", "'s ", "İ"];
        let built: String = pieces.iter().map(|k| fragments[*k]).collect();
        for answer in [&text, &built] {
            let chosen = read(answer, &options());
            prop_assert!(chosen.is_none_or(|letter| options().contains_key(&letter)));
        }
    }
}
