//! Answers to questions with one true answer.

use crate::check;

#[test]
fn yes_no_questions() {
    check(&[
        ("Is there a dog in the image?", "Yes", 5, 0),
        (
            "Is there a dog in the image?",
            "yes, there is a white dog.",
            6,
            0,
        ),
        ("Is there a dog in the image?", "There is a dog.", 5, 0),
        ("Is there a dog in the image?", "No.", 0, 1),
        ("Is there a dog in the image?", "No, there is no dog.", 0, 2),
        ("Is there a cat in the image?", "No", 5, 0),
        ("Is there a cat in the image?", "No, there is no cat.", 5, 0),
        ("Is there a cat in the image?", "No cat.", 5, 0),
        ("Is there a cat in the image?", "I do not see a cat.", 5, 0),
        (
            "Is there a cat in the image?",
            "There isn't a cat, but there is a white dog.",
            6,
            0,
        ),
        ("Is there a cat in the image?", "Yes.", 0, 1),
        ("Is there a cat in the image?", "No. There is a lamp.", 2, 1),
        (
            "Is there a red cup in the image?",
            "Yes, there is a red cup.",
            5,
            0,
        ),
        (
            "Is there a green cup in the image?",
            "No, there is no green cup.",
            5,
            0,
        ),
        (
            "Is there a green cup in the image?",
            "No, the cup is red.",
            6,
            0,
        ),
        ("Is the cup red?", "Yes, the cup is red.", 5, 0),
        ("Is the cup red?", "No, the cup is blue.", 0, 2),
        (
            "Are there more chairs than dogs?",
            "Yes, there are two chairs and one dog.",
            6,
            0,
        ),
        (
            "Is the cup to the left of the dog?",
            "Yes, the cup is to the left of the dog.",
            5,
            0,
        ),
        (
            "Is the dog to the left of the cup?",
            "No, the dog is to the right of the cup.",
            5,
            0,
        ),
        (
            "Is the dog to the left of the cup?",
            "The dog is on the left of the cup.",
            0,
            1,
        ),
    ]);
}

#[test]
fn questions_for_a_quality() {
    check(&[
        ("What color is the cup?", "Red", 5, 0),
        ("What color is the cup?", "The cup is red.", 5, 0),
        ("What color is the cup?", "It is red.", 5, 0),
        (
            "What color is the cup?",
            "The red cup is on the left.",
            6,
            0,
        ),
        ("What color is the cup?", "The cup is not blue.", 3, 0),
        ("What color is the cup?", "There is a cup.", 3, 0),
        ("What color is the cup?", "The cup is blue.", 0, 1),
        (
            "What color is the cup?",
            "The cup is red. There is a cat.",
            2,
            1,
        ),
        ("What color are the chairs?", "The chairs are blue.", 5, 0),
        ("How many chairs are there in the image?", "two", 5, 0),
        (
            "How many chairs are there in the image?",
            "There are two.",
            5,
            0,
        ),
        (
            "How many chairs are there in the image?",
            "There are 2 blue chairs.",
            6,
            0,
        ),
        (
            "How many chairs are there in the image?",
            "There is one chair.",
            0,
            1,
        ),
        (
            "How many dogs are there in the image?",
            "There is a dog.",
            4,
            0,
        ),
        ("Where is the cup?", "top left", 5, 0),
        ("Where is the cup?", "The cup is on the left.", 4, 0),
        (
            "Where is the cup?",
            "The cup is at the top, on the left.",
            5,
            0,
        ),
        ("Where is the cup?", "The cup is at the top right.", 0, 1),
        ("What place is this?", "kitchen", 5, 0),
        ("What place is this?", "This is not a kitchen.", 0, 1),
        ("What place is this?", "This is a kitchen with a dog.", 6, 0),
        (
            "Which is larger, the dog or the cup?",
            "The dog is larger than the cup.",
            5,
            0,
        ),
        ("Which is larger, the dog or the cup?", "the dog", 5, 0),
        (
            "Which is larger, the dog or the cup?",
            "The cup is larger.",
            0,
            1,
        ),
        (
            "Which is larger, the dog or the cup?",
            "The cup is smaller.",
            3,
            0,
        ),
        ("Which object is red?", "the cup", 5, 0),
        ("Which object is red?", "The dog.", 0, 1),
        ("Which objects are animals?", "The dog is an animal.", 5, 0),
        (
            "Which objects are animals?",
            "The dog and the cup are animals.",
            0,
            1,
        ),
        (
            "Which objects are vehicles?",
            "There are no vehicles.",
            5,
            0,
        ),
        ("Which objects are vehicles?", "The car is a vehicle.", 0, 1),
    ]);
}

#[test]
fn false_premises_must_be_refused() {
    check(&[
        (
            "What color is the cat?",
            "There is no cat in the image.",
            5,
            0,
        ),
        (
            "What color is the cat?",
            "The cat is not in the image.",
            5,
            0,
        ),
        ("What color is the cat?", "The cat is black.", 0, 1),
        ("What color is the cat?", "black", 0, 1),
        ("What color is the cat?", "There is a dog.", 1, 0),
        ("How many cats are there in the image?", "zero", 5, 0),
        (
            "How many cats are there in the image?",
            "There are no cats.",
            5,
            0,
        ),
        ("How many cats are there in the image?", "two", 0, 1),
        ("Where is the cat?", "top left", 0, 1),
    ]);
}

#[test]
fn multiple_choice() {
    const COLOUR: &str =
        "What color is the cup?\nA. blue\nB. red\nC. green\nD. black\nChoose the letter.";
    const OBJECT: &str = "Which object is in the image?\nA. cat\nB. lamp\nC. dog\nD. fish";
    check(&[
        (COLOUR, "B", 5, 0),
        (COLOUR, "B. red. The cup is red.", 5, 0),
        (
            COLOUR,
            "B. red. This is a kitchen. There is a red cup.",
            6,
            0,
        ),
        (COLOUR, "There is a red cup. The correct option is B.", 5, 0),
        (COLOUR, "red", 5, 0),
        (COLOUR, "A.", 0, 1),
        (COLOUR, "B. A cat sits here.", 2, 1),
        (OBJECT, "C", 5, 0),
        (OBJECT, "C. dog. There is a white dog.", 6, 0),
        (OBJECT, "There is a dog.", 5, 0),
        (OBJECT, "There is a cup.", 1, 0),
        (OBJECT, "A. cat.", 0, 2),
    ]);
}
