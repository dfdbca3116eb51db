//! What gradients take on a rank's device until their owners have added them up, counted exchange by exchange as
//! [`super::Shards::add_round`] makes them.

use super::{Exchanges, REST, Stretch, group_of, most_values, owners};

/// Bytes of a number as it is added up and sent.
const F32: u64 = 4;

/// How the passes of an update fall on ranks, and what they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DealtPasses {
    /// Ranks that share out the optimizer.
    pub n_ranks: usize,
    /// Whether a rank computes several lanes in turn, so that totals are there before its last one.
    pub several_lanes: bool,
    /// Whether a lane has several passes, whose gradients are added up where they are.
    pub several_passes: bool,
    /// Whether weights are read rounded to bf16, in which their gradients come too.
    pub in_bf16: bool,
}

/// Most bytes of gradients and of their totals that a rank has on its device, what is on its way included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GradientRoom {
    /// While passes are computed.
    pub in_passes: u64,
    /// After them, when their activations are gone.
    pub after_passes: u64,
}

impl GradientRoom {
    /// Of tensors with so many values, each of a block or of none; `blocks` is empty where weights of blocks are not shared out.
    #[must_use]
    pub fn of(sizes: &[u64], blocks: &[Option<usize>], passes: DealtPasses) -> Self {
        let n_ranks = passes.n_ranks;
        let owners = owners(sizes, n_ranks);
        let block = |tensor: usize| blocks.get(tensor).copied().flatten();
        let groups: Vec<usize> = (0..sizes.len()).map(|t| group_of(block(t))).collect();
        let most = most_values(n_ranks);
        let exchanges = Exchanges::of(sizes, &owners, &groups, n_ranks, most);
        let all = (0..n_ranks).map(|rank| {
            let own = |tensor: usize| owners[tensor] == rank && passes.several_lanes;
            let begun: Vec<bool> = (0..sizes.len()).map(own).collect();
            let totals = (0..sizes.len()).filter(|&tensor| begun[tensor]);
            let device = Device {
                totals: totals.map(|tensor| F32 * sizes[tensor]).sum(),
                gradients: 0,
                most: 0,
                rank,
                sizes,
                exchanges: &exchanges,
                passes,
                begun,
            };
            device.through_an_update(&groups)
        });
        all.fold(Self::default(), |most, room| Self {
            in_passes: most.in_passes.max(room.in_passes),
            after_passes: most.after_passes.max(room.after_passes),
        })
    }
}

/// A rank's device in the last round of an update.
struct Device<'a> {
    rank: usize,
    sizes: &'a [u64],
    exchanges: &'a Exchanges,
    passes: DealtPasses,
    /// Whether there is a total of a tensor.
    begun: Vec<bool>,
    totals: u64,
    gradients: u64,
    /// Most so far.
    most: u64,
}

impl Device<'_> {
    /// Bytes of a gradient's number before it is taken to be sent.
    fn before(&self) -> u64 {
        match (self.passes.in_bf16, self.passes.several_passes) {
            (false, _) => F32,
            // What the last pass gave, and the sum of those before it.
            (true, true) => F32 / 2 + F32,
            (true, false) => F32 / 2,
        }
    }

    fn through_an_update(mut self, groups: &[usize]) -> GradientRoom {
        let sizes = self.sizes;
        let values = |group: usize| -> u64 {
            let of_group = (0..sizes.len()).filter(|&tensor| groups[tensor] == group);
            of_group.map(|tensor| sizes[tensor]).sum()
        };
        let blocks = REST + 1..self.exchanges.n_groups();
        self.gradients = self.before() * values(REST);
        if self.passes.several_passes {
            self.gradients += self.before() * blocks.clone().map(values).sum::<u64>();
        }
        self.count(0);
        for block in blocks.rev() {
            if !self.passes.several_passes {
                self.gradients += self.before() * values(block);
            }
            self.exchange(block);
        }
        let in_passes = std::mem::take(&mut self.most);
        self.exchange(REST);
        GradientRoom {
            in_passes,
            after_passes: self.most,
        }
    }

    /// Counts what is here now, and so many bytes on their way.
    fn count(&mut self, moving: u64) {
        self.most = self.most.max(self.gradients + self.totals + moving);
    }

    /// Gives a group's gradients to their owners, and adds up those of this rank's tensors.
    fn exchange(&mut self, group: usize) {
        let (exchanges, before) = (self.exchanges, self.before());
        let n_ranks = self.passes.n_ranks;
        for exchange in 0..exchanges.n_of(group) {
            let mut sent = 0;
            for rank in 0..n_ranks {
                let stretches = exchanges.owned(group, rank, exchange);
                for stretch in stretches.iter().filter(|stretch| stretch.first == 0) {
                    let size = self.sizes[stretch.parameter];
                    if before < F32 {
                        // It is rounded up beside what it was.
                        self.count(sent + F32 * size);
                    }
                    self.gradients += F32 * size;
                    self.gradients -= before * size;
                }
                sent += F32 * values_of(stretches);
                self.count(sent);
                for stretch in stretches {
                    let size = self.sizes[stretch.parameter];
                    if (stretch.first + stretch.n) as u64 == size {
                        self.gradients -= F32 * size;
                    }
                }
            }
            let mine = exchanges.owned(group, self.rank, exchange);
            let came = n_ranks as u64 * F32 * values_of(mine);
            self.count(sent + came);
            for stretch in mine {
                if !std::mem::replace(&mut self.begun[stretch.parameter], true) {
                    self.totals += F32 * self.sizes[stretch.parameter];
                }
                // The copy that is added.
                self.count(came + F32 * stretch.n as u64);
            }
        }
    }
}

/// Values of some stretches.
fn values_of(stretches: &[Stretch]) -> u64 {
    stretches.iter().map(|stretch| stretch.n as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(sizes: &[u64], blocks: &[Option<usize>], passes: DealtPasses) -> [u64; 2] {
        let found = GradientRoom::of(sizes, blocks, passes);
        [found.in_passes, found.after_passes]
    }

    const TWO: DealtPasses = DealtPasses {
        n_ranks: 2,
        several_lanes: false,
        several_passes: false,
        in_bf16: false,
    };

    /// Twelve numbers, six for each of two ranks.
    #[test]
    fn small_tensors_go_at_once() {
        let sizes = [6, 4, 2];
        // All gradients while passes are computed. The first rank's own 24 bytes are copied beside all 48, and go; the other's too.
        // Then 48 are sent, and twice 24 come.
        assert_eq!(room(&sizes, &[], TWO), [48, 96]);
        let later = DealtPasses {
            several_lanes: true,
            ..TWO
        };
        // Its total of six is there all along.
        assert_eq!(room(&sizes, &[], later), [48 + 24, 96 + 24]);
        let sums = DealtPasses {
            in_bf16: true,
            several_passes: true,
            ..TWO
        };
        // Half a gradient beside each sum.
        assert_eq!(room(&sizes, &[], sums), [24 + 48, 96]);
        let halves = DealtPasses {
            in_bf16: true,
            ..TWO
        };
        assert_eq!(room(&sizes, &[], halves), [24, 96]);
    }

    /// Three tensors of 64 MB, of which the first rank owns two: it takes four exchanges of 32 MB, the other's two.
    #[test]
    fn gradients_go_as_totals_come() {
        const MB: u64 = 1 << 20;
        let sizes = [16 * MB; 3];
        // Before the first exchange all 192 are here, and after it still, for no gradient has gone as a whole. 32 of each rank's are
        // sent and 64 come; a total of 64 is begun beside these 64 and the copy of a stretch, 32. After the second two gradients are
        // gone.
        assert_eq!(
            room(&sizes, &[], TWO),
            [192 * MB, (192 + 64 + 64 + 32) * MB]
        );
    }

    /// Two blocks of a tensor for each rank, and one tensor outside of them.
    #[test]
    fn gradients_of_a_block_go_when_it_has_ended() {
        let (sizes, blocks) = ([5, 5, 5, 5, 2], [Some(0), Some(0), Some(1), Some(1), None]);
        // 8 of the rest and 40 of a block, sent and come; at the second one the total of the first, 20, is here, and its own begins.
        let [in_passes, after] = room(&sizes, &blocks, TWO);
        assert_eq!(in_passes, 8 + 20 + 40 + 40);
        // All totals, 40 bytes and 8, of which 8 are sent and twice as many come.
        assert_eq!(after, 40 + 8 + 16 + 8);
        let several = DealtPasses {
            several_passes: true,
            ..TWO
        };
        assert_eq!(room(&sizes, &blocks, several)[0], 88 + 40);
    }
}
