//! Greedy decoding against transformers' `generate`, and cached decoding against the full pass.
//!
//! `parity/fixtures/llava.py` chose prompts at which the best id leads by at least 2e-3 at every step, so ids
//! must be identical: one that differs is a fault and not rounding.

mod against;

use against::{
    ABSOLUTE, Golden, N_NEW_TOKENS, NEVER, assert_responses, golden_folder, greedy, open_model,
    queries, report,
};
use candor_model::sample::Continuations;
use candor_model::{Features, Query, Response, Vlm};
use tch::{Device, Kind};

/// Log-probabilities of the response from one pass over prompt and response, without a cache.
fn full_pass(model: &Vlm, query: &Query, response: &Response) -> Vec<f64> {
    // A sampled placeholder id is a word like any other, so only the prompt is spliced.
    let rows = Continuations::new(&[(&query.ids, &response.ids)], 0, Device::Cpu);
    let embedded = model.embed_continuations(&rows, query.features.as_ref(), None);
    let hidden = rows.at_positions(&model.hidden(&embedded, None));
    let logprobs = model
        .decoder()
        .logits(&hidden)
        .log_softmax(-1, Kind::Double);
    let chosen = logprobs.gather(-1, &rows.targets.unsqueeze(-1), false);
    Vec::try_from(chosen.flatten(0, -1)).expect("a row")
}

/// The same, but every prompt is asked twice and says which image it is about, so that openings are read once.
fn sharing(model: &Vlm, queries: &[Query], batch_rows: usize, eos: i64) -> Vec<Response> {
    let twice = queries.iter().enumerate().flat_map(|(at, query)| {
        [(); 2].map(|()| Query {
            ids: query.ids.clone(),
            features: query.features.as_ref().map(Features::share),
            image: query.features.as_ref().map(|_| at.to_string()),
        })
    });
    let twice: Vec<Query> = twice.collect();
    let said = greedy(model, None, &twice, batch_rows, eos);
    let pairs = said.chunks_exact(2);
    pairs
        .map(|pair| {
            assert_eq!(pair[0].ids, pair[1].ids);
            pair[0].clone()
        })
        .collect()
}

fn check_case(case: &str) {
    let model = open_model(case);
    let golden = Golden::open(&golden_folder(case), "generate.safetensors");
    let queries = queries(&model, &golden);
    assert_eq!(golden.get("free.new_ids").size()[1], N_NEW_TOKENS as i64);

    let alone = greedy(&model, None, &queries[..1], 1, NEVER);
    assert_responses(case, "one prompt", &alone, &golden, "single");
    let together = greedy(&model, None, &queries, 3, NEVER);
    assert_responses(case, "batch of 3 lengths", &together, &golden, "free");
    let in_twos = greedy(&model, None, &queries, 2, NEVER);
    assert_responses(case, "same in batches of 2", &in_twos, &golden, "free");

    for batch_rows in [6, 4, 3] {
        let shared = sharing(&model, &queries, batch_rows, NEVER);
        assert_responses(case, "openings read once", &shared, &golden, "free");
    }

    let eos = golden.get("stopped.eos").int64_value(&[0]);
    let stopped = greedy(&model, None, &queries, 3, eos);
    assert_responses(
        case,
        "rows that end one by one",
        &stopped,
        &golden,
        "stopped",
    );
    for batch_rows in [1, 2, 4, 6] {
        let shared = sharing(&model, &queries, batch_rows, eos);
        let what = "openings read once, ending one by one";
        assert_responses(case, what, &shared, &golden, "stopped");
    }
    for response in &stopped {
        assert_eq!(response.finished, response.ids.last() == Some(&eos));
    }

    let worst = queries
        .iter()
        .zip(&together)
        .flat_map(|(query, response)| {
            let full = full_pass(&model, query, response);
            assert_eq!(full.len(), response.logprobs.len());
            full.into_iter()
                .zip(response.logprobs.clone())
                .map(|(full, cached)| (full - f64::from(cached)).abs())
        })
        .fold(0.0, f64::max);
    report(case, "cached against full pass, logprobs", worst);
    assert!(
        worst <= ABSOLUTE,
        "{case}: cached decoding differs from the full pass by {worst}"
    );
}

#[test]
fn the_llava_1_5_shape() {
    check_case("llava_mha");
}

#[test]
fn grouped_queries() {
    check_case("llava_gqa");
}

#[test]
fn tied_embedding() {
    check_case("llava_tied");
}

#[test]
fn the_linear_projector() {
    check_case("llava_linear");
}

#[test]
fn positions_with_rows_and_columns() {
    check_case("qwen/qwen2_5_vl_gqa");
}

#[test]
fn positions_with_rows_and_columns_and_a_tied_embedding() {
    check_case("qwen/qwen2_5_vl_tied");
}

#[test]
fn the_first_generation_of_qwen() {
    check_case("qwen/qwen2_vl");
}

#[test]
fn outputs_of_several_blocks_of_the_tower() {
    check_case("qwen/qwen3_vl");
}

#[test]
fn outputs_of_several_blocks_of_the_tower_and_a_tied_embedding() {
    check_case("qwen/qwen3_vl_tied");
}

#[test]
fn tiles_before_a_llama() {
    check_case("tiled/next_llama");
}

#[test]
fn tiles_before_a_mistral() {
    check_case("tiled/next_mistral");
}

#[test]
fn tiles_before_a_llama_3_with_stretched_positions() {
    check_case("tiled/next_llama3");
}

#[test]
fn tiles_before_a_qwen2_and_one_view_of_each_of_several_images() {
    check_case("tiled/onevision");
}

#[test]
fn tiles_before_a_qwen2_with_words_apart() {
    check_case("tiled/onevision_apart");
}

#[test]
fn llava_1_5_on_mistral() {
    check_case("tiled/llava_mistral");
}

#[test]
fn llava_1_5_on_qwen2() {
    check_case("tiled/llava_qwen2");
}
