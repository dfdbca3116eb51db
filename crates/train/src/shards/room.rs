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

/// Most bytes of gradients and of their totals that a rank has on its device, what is on its way included, and where weights of blocks are
/// shared out these too while they are on theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GradientRoom {
    /// While passes are computed.
    pub in_passes: u64,
    /// After them, when their activations are gone.
    pub after_passes: u64,
}

impl GradientRoom {
    /// Of tensors with so many values, in the optimizer's order, each of a block or of none; `blocks` is empty where weights of blocks
    /// are not shared out.
    ///
    /// # Panics
    /// There are blocks of fewer or more tensors.
    #[must_use]
    pub fn of(sizes: &[u64], blocks: &[Option<usize>], passes: DealtPasses) -> Self {
        let groups: Vec<usize> = if blocks.is_empty() {
            vec![REST; sizes.len()]
        } else {
            assert_eq!(blocks.len(), sizes.len(), "tensors have a block or none");
            blocks.iter().copied().map(group_of).collect()
        };
        let n_ranks = passes.n_ranks;
        let owners = owners(sizes, n_ranks);
        let exchanges = Exchanges::of(sizes, &owners, &groups, n_ranks, most_values(n_ranks));
        let update = Update::of(sizes, &groups, passes, &exchanges);
        let all = (0..n_ranks).map(|rank| update.on(rank, sizes, &owners));
        all.fold(Self::default(), |most, room| Self {
            in_passes: most.in_passes.max(room.in_passes),
            after_passes: most.after_passes.max(room.after_passes),
        })
    }
}

/// The last round of an update, as it is on every rank.
struct Update<'a> {
    exchanges: &'a Exchanges,
    passes: DealtPasses,
    /// Gradients before any is given away.
    before: u64,
    /// From the last block to the first, and then the rest.
    groups: Vec<OfGroup>,
}

/// What a group's gradients do.
struct OfGroup {
    group: usize,
    /// Gradients when its weights are brought for its backward pass.
    standing: u64,
    /// What is on its way at most while they are.
    brought: u64,
    exchanges: Vec<Exchanged>,
}

/// Bytes of gradients in an exchange, of which every rank sends as many.
#[derive(Clone, Copy)]
struct Exchanged {
    /// At most, with what is sent.
    most: u64,
    /// At most from here to the group's end.
    most_from_here: u64,
    /// What is sent.
    sent: u64,
    /// What is left.
    left: u64,
    /// Values that are on their way at most when weights are brought in it: a rank's own, those of all, and the copy of a stretch.
    brought: u64,
}

impl<'a> Update<'a> {
    fn of(sizes: &[u64], groups: &[usize], passes: DealtPasses, exchanges: &'a Exchanges) -> Self {
        let mut values = vec![0_u64; exchanges.n_groups()];
        for (group, size) in groups.iter().zip(sizes) {
            values[*group] += size;
        }
        let kept = passes.kept();
        let mut gradients = kept * values[REST];
        if passes.several_passes {
            gradients = kept * values.iter().sum::<u64>();
        }
        let before = gradients;
        let order = (REST + 1..exchanges.n_groups()).rev().chain([REST]);
        let groups = order.map(|group| {
            let standing = gradients;
            if group != REST && !passes.several_passes {
                // They come with the block's backward pass.
                gradients += kept * values[group];
            }
            let all = 0..exchanges.n_of(group);
            let mut of_exchanges: Vec<Exchanged> = all
                .map(|exchange| {
                    let of_ranks =
                        (0..passes.n_ranks).map(|rank| exchanges.owned(group, rank, exchange));
                    Exchanged::of(sizes, kept, &mut gradients, of_ranks)
                })
                .collect();
            let mut most = 0;
            for exchanged in of_exchanges.iter_mut().rev() {
                most = exchanged.most.max(most);
                exchanged.most_from_here = most;
            }
            let brought = of_exchanges.iter().map(|exchanged| exchanged.brought).max();
            OfGroup {
                group,
                standing,
                // They are read in the kind that gradients are given in.
                brought: passes.given() * brought.unwrap_or(0),
                exchanges: of_exchanges,
            }
        });
        Self {
            before,
            groups: groups.collect(),
            exchanges,
            passes,
        }
    }

    /// What is on a rank's device with the totals of its tensors.
    fn on(&self, rank: usize, sizes: &[u64], owners: &[usize]) -> GradientRoom {
        let mut begun: Vec<bool> = owners
            .iter()
            .map(|&owner| owner == rank && self.passes.several_lanes)
            .collect();
        let own = (0..sizes.len()).filter(|&tensor| begun[tensor]);
        let mut totals: u64 = own.map(|tensor| F32 * sizes[tensor]).sum();
        let blocks = self.groups.iter().filter(|of_group| of_group.group != REST);
        let brought = blocks.map(|of_group| of_group.brought).max();
        let mut room = GradientRoom {
            in_passes: self.before + totals + brought.unwrap_or(0),
            after_passes: 0,
        };
        for of_group in &self.groups {
            let group = of_group.group;
            let place = if group == REST {
                &mut room.after_passes
            } else {
                let bringing = of_group.standing + totals + of_group.brought;
                room.in_passes = room.in_passes.max(bringing);
                &mut room.in_passes
            };
            for (number, exchanged) in of_group.exchanges.iter().enumerate() {
                let mine = self.exchanges.owned(group, rank, number);
                let Some(largest) = mine.iter().map(|stretch| stretch.n as u64).max() else {
                    // Nothing more comes to this rank.
                    *place = (*place).max(exchanged.most_from_here + totals);
                    break;
                };
                let came = self.passes.n_ranks as u64 * F32 * values_of(mine);
                let arrived = exchanged.left + exchanged.sent + came;
                *place = (*place).max(exchanged.most.max(arrived) + totals);
                for stretch in mine {
                    if !std::mem::replace(&mut begun[stretch.parameter], true) {
                        totals += F32 * sizes[stretch.parameter];
                    }
                }
                // With the copy that is added.
                *place = (*place).max(exchanged.left + came + totals + F32 * largest);
            }
        }
        if self.passes.several_passes {
            // A later pass's gradient is there before it is added to that of those before it.
            room.in_passes += self.passes.given() * sizes.iter().max().unwrap_or(&0);
        }
        room
    }
}

impl Exchanged {
    /// What ranks own of an exchange, rank by rank, before which there are so many bytes of `gradients`, each number in `kept`.
    fn of<'a>(
        sizes: &[u64],
        kept: u64,
        gradients: &mut u64,
        of_ranks: impl Iterator<Item = &'a [Stretch]>,
    ) -> Self {
        let (mut most, mut sent) = (0, 0);
        let (mut largest, mut most_of_rank) = (0, 0);
        for stretches in of_ranks {
            for stretch in stretches.iter().filter(|stretch| stretch.first == 0) {
                let size = sizes[stretch.parameter];
                if kept < F32 {
                    // It is rounded up beside what it was.
                    most = most.max(*gradients + sent + F32 * size);
                }
                *gradients += F32 * size;
                *gradients -= kept * size;
            }
            largest = stretches
                .iter()
                .fold(largest, |most, stretch| most.max(stretch.n as u64));
            most_of_rank = values_of(stretches).max(most_of_rank);
            sent += F32 * values_of(stretches);
            most = most.max(*gradients + sent);
            for stretch in stretches {
                let size = sizes[stretch.parameter];
                if (stretch.first + stretch.n) as u64 == size {
                    *gradients -= F32 * size;
                }
            }
        }
        Self {
            most,
            most_from_here: most,
            sent,
            left: *gradients,
            brought: most_of_rank + sent / F32 + largest,
        }
    }
}

impl DealtPasses {
    /// Bytes of a gradient's number as a pass gives it.
    fn given(self) -> u64 {
        if self.in_bf16 { F32 / 2 } else { F32 }
    }

    /// The same as it is kept until it is sent: in bf16 that of the last pass, and the sum of those before it.
    fn kept(self) -> u64 {
        let sum = if self.in_bf16 && self.several_passes {
            F32
        } else {
            0
        };
        self.given() + sum
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
        // Half a gradient beside each sum, and half of the largest that is about to be added.
        assert_eq!(room(&sizes, &[], sums), [24 + 48 + 12, 96]);
        let halves = DealtPasses {
            in_bf16: true,
            ..TWO
        };
        assert_eq!(room(&sizes, &[], halves), [24, 96]);
    }

    /// The first of two ranks owns tensors of 20 and 64 MB, the other of 44 and 40, and 32 go to each at once.
    #[test]
    fn all_totals_of_an_exchange_are_there_when_the_last_lane_is_added() {
        const MB: u64 = 1 << 20;
        let sizes = [5 * MB, 16 * MB, 11 * MB, 10 * MB];
        // After the first exchange the gradient of 20 is gone, and 148 are left. Beside these are the 64 that came, the first rank's
        // totals of 20 and 64, and the copy of 20.
        let after = 148 + 64 + 20 + 64 + 20;
        assert_eq!(room(&sizes, &[], TWO), [168 * MB, after * MB]);
    }

    /// As many ranks as a large cluster has, and a model of 13 thousand million weights in blocks: it is counted at once.
    #[test]
    fn a_large_model_on_many_ranks_is_counted() {
        let of_block = [
            26_214_400_u64,
            26_214_400,
            26_214_400,
            26_214_400,
            70_778_880,
            70_778_880,
            70_778_880,
        ];
        let mut sizes = vec![163_840_000; 2];
        let mut blocks = vec![None; 2];
        for block in 0..40 {
            sizes.extend(of_block);
            blocks.extend([Some(block); 7]);
        }
        let passes = DealtPasses {
            n_ranks: 512,
            ..TWO
        };
        let [in_passes, after] = room(&sizes, &blocks, passes);
        // Two tables' gradients and a block's; the largest total, of a table, is begun after all passes.
        let (tables, block) = (2 * 4 * 163_840_000, 4 * of_block.iter().sum::<u64>());
        assert!(
            (tables + block..tables + block + 600_000_000).contains(&in_passes),
            "{in_passes}"
        );
        assert!((tables..2 * tables).contains(&after), "{after}");
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
        // All gradients all along and one more; while a block is brought, 20 bytes of its own, 40 of both ranks and the copy of 20.
        assert_eq!(room(&sizes, &blocks, several)[0], 88 + 20 + 80);
    }
}
