//! The weights that a stage trains, and what their gradients and moments take.

use candor_train::{
    BUCKET_BYTES, DealtPasses, DeviceChoice, GradientRoom, SessionRecipe, Shard, States, owners,
};

/// Bytes of a number of an adapter, a gradient or a moment.
pub(crate) const F32: u64 = 4;
/// What is added to an exchange, which is counted to the byte otherwise: the numbers that passes gave, and other tensors of some bytes.
const LITTLE: u64 = 64 << 10;

/// Weights that are trained, in bytes of f32, which training has them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trained {
    /// Of all of them.
    pub bytes: u64,
    /// Of the largest tensor.
    pub largest_bytes: u64,
}

impl Trained {
    /// Tensors of so many weights.
    pub(crate) fn of(n_weights: impl IntoIterator<Item = u64>) -> Self {
        let tensors = n_weights.into_iter().map(|n| F32 * n);
        tensors.fold(Self::default(), |all, bytes| {
            all.and(Self {
                bytes,
                largest_bytes: bytes,
            })
        })
    }

    /// These and others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self {
            bytes: self.bytes + others.bytes,
            largest_bytes: self.largest_bytes.max(others.largest_bytes),
        }
    }

    /// What passes in bf16 need besides [`Trained::optimizer`]: the weights themselves in f32, where they are on the device, and
    /// a gradient in bf16.
    #[must_use]
    pub fn masters(self, states: States) -> u64 {
        self.states(states, 1) + self.bytes / 2
    }

    /// Gradients and moments, where gradients are summed in so many lanes: beside the sum of a lane is the total of all. A pass makes a
    /// tensor's gradient before it is added to what is there, be it zero.
    #[must_use]
    pub fn optimizer(self, lanes: usize, states: States) -> u64 {
        (1 + u64::from(lanes > 1)) * self.bytes + self.largest_bytes + self.states(states, 2)
    }

    /// What the host has of moments, and of masters where passes read weights of the base rounded to bf16.
    #[must_use]
    pub fn on_host(self, states: States, in_bf16: bool) -> u64 {
        match states {
            States::OnDevice => 0,
            States::OnHost => (2 + u64::from(in_bf16)) * self.bytes,
        }
    }

    /// Gradients that are sent together: 64 MB, or the largest tensor where that is more, or all there is where that is less.
    pub(crate) fn bucket(self) -> u64 {
        let small = BUCKET_BYTES as u64;
        small.max(self.largest_bytes).min(self.bytes)
    }

    /// What comes on top on the device once activations are gone: while ranks give each other all gradients a bucket of each rank
    /// and the one that is sent, and then what an update makes.
    pub(crate) fn giving(self, n_ranks: u64) -> u64 {
        let exchanged = if n_ranks == 1 {
            0
        } else {
            (n_ranks + 1) * self.bucket()
        };
        exchanged.max(self.updating())
    }

    /// What the update of a tensor makes on its way: the scaled gradient and mean, and the denominator.
    fn updating(self) -> u64 {
        3 * self.largest_bytes
    }

    /// `n` numbers of each weight; of those on the host an update has those of one tensor on the device.
    fn states(self, states: States, n: u64) -> u64 {
        n * match states {
            States::OnDevice => self.bytes,
            States::OnHost => self.largest_bytes,
        }
    }
}

/// Where a run's moments and masters are as its device sees it: that of a run on the CPU is the host.
pub(crate) fn states_of(session: &SessionRecipe) -> States {
    match session.device {
        DeviceChoice::Cpu => States::OnDevice,
        DeviceChoice::Auto | DeviceChoice::Cuda(_) => session.states,
    }
}

/// What a device holds for the training of some tensors, besides the weights that passes read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Gradients, moments and masters while passes are computed, at most.
    pub bytes: u64,
    /// What comes on top once activations are gone: gradients that go to other ranks, or what an update makes.
    pub giving_bytes: u64,
    /// Moments and masters that the host has in the device's place.
    pub host_bytes: u64,
    /// Moments and masters alone, as they are between updates.
    pub states_bytes: u64,
}

impl Held {
    /// Of tensors of so many weights, on the rank that keeps most, with so many rows an update and a pass. `blocks` are those of the
    /// tensors where ranks share out their weights too, and empty elsewhere; `in_bf16` says whether passes read weights of the base
    /// rounded to bf16.
    ///
    /// Where ranks share out the optimizer, an owner has the total of the gradients, the two moments and the master of its tensors,
    /// and every rank a pass's gradients of all until they have gone ([`GradientRoom`]). Of moments and masters on the host an update
    /// has those of one tensor.
    pub(crate) fn of(
        sizes: &[u64],
        blocks: &[Option<usize>],
        session: &SessionRecipe,
        n_ranks: u64,
        [batch, micro_batch]: [usize; 2],
        in_bf16: bool,
    ) -> Self {
        let trained = Trained::of(sizes.iter().copied());
        let states = states_of(session);
        let n_states = 2 + u64::from(in_bf16);
        if n_ranks == 1 || session.shard == Shard::Nothing {
            let masters = if in_bf16 { trained.masters(states) } else { 0 };
            return Self {
                bytes: trained.optimizer(session.lanes, states) + masters,
                giving_bytes: trained.giving(n_ranks),
                host_bytes: trained.on_host(states, in_bf16),
                states_bytes: trained.states(states, n_states),
            };
        }
        let owned = Trained {
            bytes: largest_share(sizes, n_ranks),
            ..trained
        };
        let passes = DealtPasses {
            n_ranks: n_ranks as usize,
            several_lanes: session.lanes as u64 > n_ranks,
            several_passes: batch.div_ceil(micro_batch) > session.lanes,
            in_bf16,
        };
        let room = GradientRoom::of(sizes, blocks, passes);
        let later = room.after_passes.max(owned.bytes + owned.updating());
        let states_bytes = owned.states(states, n_states);
        Self {
            bytes: room.in_passes + states_bytes,
            giving_bytes: (later + LITTLE).saturating_sub(room.in_passes),
            host_bytes: owned.on_host(states, in_bf16),
            states_bytes,
        }
    }
}

/// Bytes in f32 of what each rank owns of tensors of so many weights.
pub(crate) fn shares(sizes: &[u64], n_ranks: u64) -> Vec<u64> {
    let n_ranks = n_ranks as usize;
    let mut loads = vec![0; n_ranks];
    for (owner, size) in owners(sizes, n_ranks).into_iter().zip(sizes) {
        loads[owner] += F32 * size;
    }
    loads
}

/// The same of the rank that owns most.
fn largest_share(sizes: &[u64], n_ranks: u64) -> u64 {
    shares(sizes, n_ranks).into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use candor_recipe::Reader;

    use super::*;

    fn session(lanes: usize, shard: &str, states: &str) -> SessionRecipe {
        let text = format!(
            r#"
seed = 1
[run]
out = "run"
lanes = {lanes}
shard = "{shard}"
checkpoint_every = 1
keep_checkpoints = 1
[optimizer]
learning_rate = 0.1
states = "{states}"
schedule = "constant"
warmup_steps = 0
beta1 = 0.9
beta2 = 0.99
eps = 1e-8
weight_decay = 0.0
max_grad_norm = 1.0
"#
        );
        let mut recipe = Reader::parse("r.toml", &text, &[]);
        let session = SessionRecipe::read(&mut recipe).with_shard(&mut recipe, true);
        recipe.finish().unwrap();
        session
    }

    /// Twelve weights, of which each of two ranks owns six: 6, and 4 with 2.
    #[test]
    fn an_owner_alone_has_the_states_of_its_tensors() {
        let states = |lanes, shard: &str, n_ranks, in_bf16| {
            let session = session(lanes, shard, "device");
            let found = Held::of(&[6, 4, 2], &[], &session, n_ranks, [8, 2], in_bf16);
            [found.bytes, found.giving_bytes]
        };
        // Gradient and moments; with a total for lanes; in bf16 a master and half a gradient besides; and a gradient of
        // the largest tensor before it is added. An update makes three numbers for each of its weights.
        assert_eq!(states(1, "zero2", 1, false), [3 * 48 + 24, 3 * 24]);
        // Two ranks' buckets of all there is, and what one sends.
        assert_eq!(states(4, "none", 2, false), [4 * 48 + 24, 3 * 48]);
        assert_eq!(states(4, "zero2", 1, true), [4 * 48 + 48 + 24 + 24, 3 * 24]);
        // The gradient of all, and total and moments of a half; when all of it has been sent as much comes.
        assert_eq!(states(4, "zero2", 2, false), [48 + 3 * 24, 48 + LITTLE]);
        // Four passes in four lanes are added up by owners alone, who have half a number for each, until it is sent.
        assert_eq!(states(4, "zero2", 2, true), [24 + 4 * 24, 48 + 24 + LITTLE]);
        // In two lanes each rank adds two of them, and there is no total before. Then an update is most: 24 of totals, and three times 24.
        assert_eq!(
            states(2, "zero2", 2, true),
            [24 + 48 + 12 + 3 * 24, 4 * 24 - 84 + LITTLE]
        );
        // The rank with most has 6 of three ranks.
        assert_eq!(states(4, "zero2", 3, false), [48 + 3 * 24, 3 * 24 + LITTLE]);
    }

    /// Twelve weights, of which each of two ranks owns six: 4 with 2, and 3 with 3. The largest tensor has 16 bytes.
    #[test]
    fn states_on_the_host_are_on_the_device_one_tensor_at_a_time() {
        let held = |lanes, shard: &str, n_ranks, in_bf16| {
            let session = session(lanes, shard, "host");
            let found = Held::of(&[3, 3, 4, 2], &[], &session, n_ranks, [8, 2], in_bf16);
            [found.bytes, found.giving_bytes]
        };
        // Gradients and two moments; with a total for lanes, and in bf16 a master and half a gradient besides.
        assert_eq!(held(1, "none", 1, false), [48 + 2 * 16 + 16, 3 * 16]);
        assert_eq!(
            held(4, "none", 1, true),
            [2 * 48 + 24 + 3 * 16 + 16, 3 * 16]
        );
        // The gradient of all, the total of a half, and moments.
        assert_eq!(held(4, "zero2", 2, false), [48 + 24 + 2 * 16, 48 + LITTLE]);
        // Of which a lane of one pass has bf16 alone.
        assert_eq!(
            held(4, "zero2", 2, true),
            [24 + 24 + 3 * 16, 48 + 24 + LITTLE]
        );
    }

    /// Twelve weights, of which each of two ranks owns six: two moments, and in bf16 a master.
    #[test]
    fn what_is_on_the_host_is_told_and_on_the_cpu_it_is_the_devices() {
        let sizes = [3, 3, 4, 2];
        let session = session(1, "zero2", "host");
        let on_host =
            |n_ranks, in_bf16| Held::of(&sizes, &[], &session, n_ranks, [8, 2], in_bf16).host_bytes;
        assert_eq!([on_host(1, false), on_host(1, true)], [2 * 48, 3 * 48]);
        assert_eq!([on_host(2, false), on_host(2, true)], [2 * 24, 3 * 24]);
        let on_cpu = SessionRecipe {
            device: DeviceChoice::Cpu,
            ..session.clone()
        };
        let found = Held::of(&sizes, &[], &on_cpu, 1, [8, 2], false);
        assert_eq!([found.bytes, found.host_bytes], [3 * 48 + 16, 0]);
    }
}
