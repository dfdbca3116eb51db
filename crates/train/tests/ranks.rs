//! What ranks tell each other, with threads in their place.

use candor_run::{Inputs, Ranks, RunError, StopSignal};
use candor_testing::ranks::on_threads;

#[test]
fn chunks_are_computed_once_and_everybody_gets_all() {
    for world in 1..=4 {
        let found = on_threads(world, |ranks| {
            let mut computed = Vec::new();
            let all = ranks.share(6, |chunk| {
                computed.push(chunk);
                Ok::<_, RunError>(format!("chunk {chunk}"))
            });
            (computed, all.unwrap())
        });
        let all = [
            "chunk 0", "chunk 1", "chunk 2", "chunk 3", "chunk 4", "chunk 5",
        ];
        assert!(found.iter().all(|(_, found)| found == &all));
        let mut computed: Vec<usize> = found.into_iter().flat_map(|(mine, _)| mine).collect();
        computed.sort_unstable();
        assert_eq!(computed, [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn numbers_that_are_none_arrive_as_they_are() {
    let found = on_threads(2, |ranks| {
        let all = ranks.share_numbers(3, |chunk| {
            Ok::<_, RunError>(vec![f64::NAN, -0.0, f64::NEG_INFINITY][..=chunk].to_vec())
        });
        all.unwrap()
            .concat()
            .into_iter()
            .map(f64::to_bits)
            .collect::<Vec<_>>()
    });
    let [nan, zero, infinity] = [f64::NAN, -0.0, f64::NEG_INFINITY].map(f64::to_bits);
    assert_eq!(found, vec![vec![nan, nan, zero, nan, zero, infinity]; 2]);
}

#[test]
fn the_first_makes_what_all_have() {
    let found = on_threads(3, |ranks| {
        let rank = ranks.rank();
        let made = ranks.made_by_first(|| Ok::<_, RunError>(vec![rank, 5]));
        made.unwrap()
    });
    assert_eq!(found, vec![vec![0, 5]; 3]);
}

#[test]
fn what_differs_is_named_with_both_values_on_every_rank() {
    let found = on_threads(3, |ranks| {
        let toml = match ranks.rank() {
            2 => "seed = 4\nrun.device = \"cuda\"\nrun.steps = 7\n",
            _ => "seed = 3\nrun.device = \"cpu\"\n",
        };
        let found = ranks
            .check_same_start(toml, Vec::new())
            .unwrap_err()
            .to_string();
        let inputs = Inputs::new([("training data", format!("{}", ranks.rank() / 2))]);
        (
            found,
            ranks.check_same_inputs(&inputs).unwrap_err().to_string(),
        )
    });
    let (start, inputs) = (
        "the ranks of this run differ: run.steps is absent on rank 0 and 7 on rank 2, seed is 3 on rank 0 and 4 on rank 2; start \
         all ranks with the same recipe, settings and files; run.device alone may differ",
        "the ranks of this run differ: training data is 0 on rank 0 and 1 on rank 2; start all ranks with the same recipe, \
         settings and files; run.device alone may differ",
    );
    assert_eq!(found, vec![(start.to_owned(), inputs.to_owned()); 3]);
}

#[test]
fn a_signal_of_one_stops_all() {
    let found = on_threads(2, |ranks| {
        let stop = StopSignal::detached();
        let before = ranks.should_stop(&stop).unwrap();
        if ranks.rank() == 1 {
            stop.request();
        }
        let asked = ranks.should_stop(&stop).unwrap();
        (before, asked, stop.check().unwrap_err().exit_code())
    });
    assert_eq!(found, [(false, true, 130); 2]);
    assert!(!Ranks::alone().should_stop(&StopSignal::detached()).unwrap());
}
