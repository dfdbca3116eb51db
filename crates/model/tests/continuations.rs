//! Responses as they were sampled against the pass that trains on them.
//!
//! PPO's ratio compares the log-probability kept from sampling with that of a later pass. Before any update
//! both are of the same weights, so they must agree to rounding, whatever was padded, cached or cut on the way.

mod against;

use against::{ABSOLUTE, Golden, golden_folder, open_model, queries, report};
use candor_data::random::uniform;
use candor_model::sample::Continuations;
use candor_model::{Adapter, Decoding, Features, Query, Response, Vlm, generate, logprobs};
use tch::{Device, Kind, Tensor};

const N_SAMPLES: usize = 2;

fn sampled(model: &Vlm, adapter: &Adapter, queries: &[Query], temperature: f64) -> Vec<Response> {
    let decoding = Decoding {
        max_new_tokens: 12,
        temperature,
        top_p: 1.0,
        ends: 2_i64.into(),
    };
    let draw = |row: usize, at: usize| uniform(5, "test", &[row as u64, at as u64]);
    generate(model, Some(adapter), queries, N_SAMPLES, 4, decoding, draw).expect("finite logits")
}

/// Log-probabilities of all responses from one padded pass, flat.
fn taught(
    model: &Vlm,
    adapter: &Adapter,
    queries: &[Query],
    responses: &[Response],
    temperature: f64,
) -> (Continuations, Tensor) {
    let query = |row: usize| &queries[row / N_SAMPLES];
    let rows: Vec<(&[i64], &[i64])> = responses
        .iter()
        .enumerate()
        .map(|(row, response)| (query(row).ids.as_slice(), response.ids.as_slice()))
        .collect();
    let rows = Continuations::new(&rows, 0, Device::Cpu);
    let features: Vec<&Features> = (0..responses.len())
        .filter_map(|row| query(row).features.as_ref())
        .collect();
    let features = Features::cat(features);
    let embedded = model.embed_continuations(&rows, features.as_ref(), None);
    let hidden = rows.at_positions(&model.hidden(&embedded, Some(adapter)));
    let logits = model.decoder().logits(&hidden);
    let flat = logprobs::token_logprobs(&logits, &rows.targets, temperature);
    (rows, flat)
}

#[test]
fn sampled_and_taught_logprobs_agree() {
    for case in ["llava_mha", "llava_gqa"] {
        let model = open_model(case);
        let folder = golden_folder(case).join("all_linear");
        let adapter = Adapter::open(&folder, &model).expect("the adapter opens");
        let queries = queries(
            &model,
            &Golden::open(&golden_folder(case), "generate.safetensors"),
        );
        for temperature in [0.0, 0.7, 1.0] {
            let responses = sampled(&model, &adapter, &queries, temperature);
            let (rows, flat) =
                tch::no_grad(|| taught(&model, &adapter, &queries, &responses, temperature));
            let matrix = rows.responses.scatter(&flat);
            let mut worst = 0.0_f64;
            for (row, response) in responses.iter().enumerate() {
                assert!(!response.ids.is_empty());
                for (at, &sampled) in response.logprobs.iter().enumerate() {
                    let taught = matrix.double_value(&[row as i64, at as i64]);
                    worst = worst.max((taught - f64::from(sampled)).abs());
                }
            }
            let n: usize = responses.iter().map(|r| r.ids.len()).sum();
            assert_eq!(
                rows.responses.mask.sum(Kind::Int64).int64_value(&[]) as usize,
                n
            );
            report(
                case,
                &format!("sampled against taught logprobs, T = {temperature}"),
                worst,
            );
            assert!(worst <= ABSOLUTE, "{case}: they differ by {worst}");
        }
    }
}

#[test]
fn a_sampled_placeholder_is_a_word() {
    let model = open_model("llava_mha");
    let golden = Golden::open(&golden_folder("llava_mha"), "generate.safetensors");
    let queries = queries(&model, &golden);
    let with_image = queries
        .iter()
        .find(|q| q.features.is_some())
        .expect("one has an image");
    let image = model.config().image_token();
    let response = [image, 7, image];
    let rows = Continuations::new(&[(&with_image.ids, &response)], 0, Device::Cpu);
    let embedded = model.embed_continuations(&rows, with_image.features.as_ref(), None);
    let alone = |ids: &[i64], features| {
        model
            .embed(&Tensor::from_slice(ids).unsqueeze(0), features, None)
            .x
    };
    let parts = [
        alone(&with_image.ids, with_image.features.as_ref()),
        alone(&response, None),
    ];
    assert_eq!(embedded.x, Tensor::cat(&parts, 1));
}

/// How many sequences are written together, who shares a beginning with whom, and whose place is taken when it ends decide
/// nothing: a draw is addressed.
#[test]
fn what_is_drawn_does_not_depend_on_the_slots() {
    let case = "llava_gqa";
    let model = open_model(case);
    let golden = Golden::open(&golden_folder(case), "generate.safetensors");
    let prompts = queries(&model, &golden);
    // Each prompt with its last word said again up to three times more: prompts of one image, and of many lengths.
    let asked = |named: bool| -> Vec<Query> {
        let longer = |(at, prompt): (usize, &Query)| {
            let image = prompt
                .features
                .as_ref()
                .filter(|_| named)
                .map(|_| at.to_string());
            let last = *prompt.ids.last().expect("a prompt has tokens");
            (0..4)
                .map(|n| Query {
                    ids: [prompt.ids.clone(), vec![last; n]].concat(),
                    features: prompt.features.as_ref().map(Features::share),
                    image: image.clone(),
                })
                .collect::<Vec<_>>()
        };
        prompts.iter().enumerate().flat_map(longer).collect()
    };
    let write = |named: bool, n_samples: usize, batch_rows: usize, eos: i64| {
        let decoding = Decoding {
            max_new_tokens: 9,
            temperature: 1.3,
            top_p: 0.95,
            ends: eos.into(),
        };
        let draw = |row: usize, at: usize| uniform(11, "slots", &[row as u64, at as u64]);
        let queries = asked(named);
        generate(
            &model, None, &queries, n_samples, batch_rows, decoding, draw,
        )
        .expect("finite logits")
    };
    for n_samples in [1, 3] {
        // A token that is drawn ends a response, the first one at its third token at the latest.
        let eos = write(false, n_samples, n_samples, against::NEVER)[0].ids[2];
        let alone = write(false, n_samples, n_samples, eos);
        let n_finished = alone.iter().filter(|response| response.finished).count();
        assert!(0 < n_finished && n_finished < alone.len(), "{n_finished}");
        for (named, batch_rows) in [(false, 4), (true, 4), (true, 1000)] {
            let together = write(named, n_samples, batch_rows, eos);
            for (alone, together) in alone.iter().zip(&together) {
                assert_eq!(alone.ids, together.ids, "{case} {named} {batch_rows}");
                assert_eq!(alone.finished, together.finished);
                let pairs = alone.logprobs.iter().zip(&together.logprobs);
                let worst = pairs
                    .map(|(a, b)| f64::from((a - b).abs()))
                    .fold(0.0, f64::max);
                assert!(worst <= ABSOLUTE, "{case} {named} {batch_rows}: {worst}");
            }
        }
    }
}
