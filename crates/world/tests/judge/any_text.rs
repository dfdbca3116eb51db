//! No text makes the judge panic or forget its rules.

use candor_world::Question;
use candor_world::judge::judge;
use proptest::prelude::*;

use crate::{DESCRIBE, scene};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged(answer in any::<String>(), question in any::<String>()) {
        let verdict = judge(&scene(), &Question::parse(&question), &answer);
        prop_assert!(verdict.score <= 6);
        for claim in &verdict.claims {
            prop_assert!(answer.get(claim.span.clone()).is_some());
        }
    }

    #[test]
    fn known_words_in_any_order_are_judged(
        words in prop::collection::vec(prop::sample::select(vec![
            "there", "is", "a", "no", "not", "yes", "dog", "cats", "red", "blue", "small", "two", "left",
            "top", "of", "the", "and", "but", "it", "larger", "kitchen", "animals", ",", ".", "?", "B.",
            "option", "are", "women", "cup",
        ]), 0..40),
        pick in 0_usize..6,
    ) {
        let questions = [
            DESCRIBE, "Is there a dog in the image?", "What color is the cat?", "Which objects are animals?",
            "Which is larger, the dog or the cup?", "What color is the cup?\nA. blue\nB. red\nC. green\nD. black",
        ];
        let answer = words.join(" ");
        let verdict = judge(&scene(), &Question::parse(questions[pick]), &answer);
        prop_assert!(verdict.score <= 6);
        // Three and more is kept for answers without a false claim.
        prop_assert!(verdict.n_false() == 0 || verdict.score < 3);
        // Saying it all twice changes nothing, unless a pronoun then means something else.
        if !words.contains(&"it") {
            let again = judge(&scene(), &Question::parse(questions[pick]), &format!("{answer}. {answer}."));
            prop_assert_eq!((again.score, again.n_false()), (verdict.score, verdict.n_false()));
        }
    }
}
