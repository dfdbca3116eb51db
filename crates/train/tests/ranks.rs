//! What ranks tell each other, with threads in their place.

use std::fs;
use std::path::Path;

use candor_model::ImageFeatures;
use candor_recipe::Reader;
use candor_run::{Inputs, Ranks, RunError, StopSignal};
use candor_testing::images::wall;
use candor_testing::model::{open, write};
use candor_testing::ranks::on_threads;
use candor_train::{FeaturePlace, encode_images};

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

/// Images that are three passes, of 64, 64 and 2.
fn names() -> Vec<String> {
    (0..130).map(|at| format!("{at}.png")).collect()
}

/// The numbers of every image's features.
fn numbers(features: &ImageFeatures) -> Vec<Vec<f32>> {
    let of = |name: &String| features.of([name.as_str()]).unwrap().rows().flatten(0, 1);
    let of = |name| Vec::<f32>::try_from(of(name)).unwrap();
    names().iter().map(of).collect()
}

/// No rank has an image in its folder that is not of its own passes.
#[test]
fn an_image_is_encoded_by_one_rank_and_all_have_its_features() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    write(&folder("model"));
    for name in ["all", "of-0", "of-1"] {
        fs::create_dir(folder(name)).unwrap();
    }
    for (at, name) in names().iter().enumerate() {
        let paint = |to: &str| wall(&folder(to).join(name), [at as u8, 250 - at as u8, 90]);
        paint("all");
        paint(["of-0", "of-1", "of-0"][at / 64]);
    }
    let in_memory = FeaturePlace::memory();
    let encoded = |ranks: &Ranks, images: &Path, place: &FeaturePlace| {
        tch::set_num_threads(1);
        let bundle = open(&folder("model"));
        let mut heard = Vec::new();
        let progress = |done, n| heard.push([done, n]);
        let features = encode_images(&bundle, images, names(), place, ranks, progress).unwrap();
        (numbers(&features), heard)
    };
    let (whole, heard) = encoded(&Ranks::alone(), &folder("all"), &in_memory);
    assert_eq!(heard, [[64, 130], [128, 130], [130, 130]]);
    assert!(whole[0] != whole[1] && whole[0] != whole[129]);
    let found = on_threads(2, |ranks| {
        let images = folder(&format!("of-{}", ranks.rank()));
        encoded(&ranks, &images, &in_memory)
    });
    for (of_rank, heard) in found {
        assert!(of_rank == whole);
        assert_eq!(heard, [[128, 130], [130, 130]]);
    }
    // On disk they are the same, whoever has written them and however many there are to read them.
    let on_disk = on_disk(&folder("features"));
    for world in [2, 1, 3] {
        let found = on_threads(world, |ranks| encoded(&ranks, &folder("all"), &on_disk).0);
        assert!(found.into_iter().all(|of_rank| of_rank == whole), "{world}");
    }
    let towers = fs::read_dir(folder("features")).unwrap();
    let towers: Vec<_> = towers.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(towers.len(), 1, "{towers:?}");
    let files = fs::read_dir(&towers[0]).unwrap();
    assert_eq!(files.count(), 3);
}

/// What says that features are kept below a folder.
fn on_disk(folder: &Path) -> FeaturePlace {
    let text = format!(
        "run.features = \"disk\"\nrun.features_folder = \"{}\"\n",
        folder.display()
    );
    let mut reader = Reader::parse("r.toml", &text, &[]);
    let place = FeaturePlace::read(&mut reader);
    reader.finish().unwrap();
    place
}

/// Alone, a run looks through all images before it ends; a rank would let the others wait for that.
#[test]
fn a_rank_names_the_damaged_images_of_its_pass_alone() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("model"));
    for name in names() {
        wall(&dir.path().join(name), [9, 9, 9]);
    }
    for damaged in ["3.png", "100.png", "129.png"] {
        fs::write(dir.path().join(damaged), "no image").unwrap();
    }
    let place = FeaturePlace::memory();
    let named = |ranks: &Ranks| {
        let bundle = open(&dir.path().join("model"));
        let found = encode_images(&bundle, dir.path(), names(), &place, ranks, |_, _| ());
        let message = format!("{:?}", found.unwrap_err());
        let images = ["3.png", "4.png", "100.png", "129.png"];
        images.map(|name| message.contains(&format!("{name:?}")))
    };
    // Passes of 64: two in the first round, one of which is each rank's, and one in the second.
    let found = on_threads(2, |ranks| named(&ranks));
    let [first, second] = [[true, false, false, false], [false, false, true, false]];
    assert_eq!(found, [first, second]);
    assert_eq!(named(&Ranks::alone()), [true, false, true, true]);
}
