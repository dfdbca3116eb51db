//! What to say when a device has no memory left, or the disk has lost what it held: both come as panics from deep below.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};

use candor_model::LostFeatures;
use candor_train::current_phase;

/// How libtorch says it, of a GPU and of the host.
const SIGNS: [&str; 2] = ["out of memory", "can't allocate memory"];

const REMEDY: &str = "hold less at a time: lower data.micro_batch or batch.micro_batch, data.pass_tokens, sampling.batch_rows, \
                      sampling.pass_rows or suite.batch_rows (--batch-rows), set model.activations = \"recompute\" or more \
                      model.recompute_blocks, optimizer.states = \"host\" or \
                      model.base_precision = \"nf4\" (--precision nf4), or put the reward model on another device with \
                      model.reward_device; `candor recipe check` says what a stage takes";

/// Runs a command; where memory ran out, or features of images were lost, the error says so and what to do. Other panics go on.
pub fn said_plainly(command: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if plainly(panic.payload()).is_none() {
            usual(panic);
        }
    }));
    match catch_unwind(AssertUnwindSafe(command)) {
        Ok(result) => result,
        Err(panic) => match plainly(panic.as_ref()) {
            Some(message) => Err(anyhow::anyhow!(message)),
            None => resume_unwind(panic),
        },
    }
}

/// What a panic is as an error; none if it is a fault of ours.
fn plainly(panic: &(dyn Any + Send)) -> Option<String> {
    if let Some(LostFeatures(error)) = panic.downcast_ref() {
        return Some(format!(
            "features of images were lost: {error} (resume the run, which encodes them again)"
        ));
    }
    Some(message(&shortage(panic)?, current_phase()))
}

fn message(shortage: &str, phase: Option<&str>) -> String {
    let place = phase.map_or(String::new(), |phase| format!(" in the phase `{phase}`"));
    format!("memory ran out{place}: {shortage} ({REMEDY})")
}

/// What libtorch said of memory, its first sentence; none if the panic is of something else.
fn shortage(panic: &(dyn Any + Send)) -> Option<String> {
    let text = match panic.downcast_ref::<String>() {
        Some(text) => text.as_str(),
        None => panic.downcast_ref::<&str>()?,
    };
    let line = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    // A message that was printed for debugging has its line breaks written out.
    let found = text.split("\\n").flat_map(str::lines).find(line)?;
    let start = found.find("Torch(\"").map_or(0, |at| at + "Torch(\"".len());
    Some(found[start..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_an_error_with_phase_and_fields() {
        let of_gpu = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 2.00 GiB. \
                      GPU 0 has 1 GiB free.\\nException raised from malloc at CUDACachingAllocator.cpp:1\\nframe #0\")";
        let error = said_plainly(|| panic!("{of_gpu}")).unwrap_err().to_string();
        for part in [
            "memory ran out",
            "CUDA out of memory. Tried to allocate 2.00 GiB",
            "data.micro_batch",
            "data.pass_tokens",
            "model.recompute_blocks",
            "optimizer.states",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("frame #0"), "{error}");
        let said = message("no memory", Some("rollout"));
        assert!(
            said.starts_with("memory ran out in the phase `rollout`: no memory ("),
            "{said}"
        );
    }

    #[test]
    fn libtorchs_own_words_are_known() {
        // More than any machine has.
        let bytes = 1_i64 << 60;
        let ask = || {
            let _ = tch::Tensor::zeros([bytes], (tch::Kind::Uint8, tch::Device::Cpu));
            Ok(())
        };
        let error = said_plainly(ask).unwrap_err().to_string();
        assert!(error.contains("can't allocate memory"), "{error}");
    }

    #[test]
    fn features_that_are_gone_are_an_error_with_what_to_do() {
        let error = said_plainly(|| {
            let lost = candor_model::ModelError::NoFolderForFeatures;
            std::panic::panic_any(LostFeatures(lost))
        });
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("features of images were lost: "),
            "{error}"
        );
        assert!(
            error.ends_with("(resume the run, which encodes them again)"),
            "{error}"
        );
    }

    #[test]
    fn another_panic_goes_on() {
        let caught = catch_unwind(|| said_plainly(|| panic!("a fault of ours")));
        let panic = caught.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a fault of ours"));
    }
}
