"""Whether TRL's trainers have the losses that candor has: the golden ones of DPO and its relatives.

The losses of TRL stand inside its trainers. A trainer is not made here, which would want a model and a data
set: its own method is called with what it reads of itself, and the model is a stub that says the golden
log-probabilities. One line for each loss has the largest differences of loss and gradient; the script fails
where one is more than rounding.
"""

from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch import Tensor
from trl import DPOTrainer, KTOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from fixtures.golden import DPO

GOLDEN = load_file(DPO / "losses.safetensors")
# What fixtures/dpo.py estimates the divergence of KTO's case to be.
DIVERGENCE = 0.75


class Model:
    """Says log-probabilities, the given ones in their order, of one token after a prompt of one token."""

    training = True

    def __init__(self, *calls: Tensor) -> None:
        self.calls = [call.reshape(-1, 1) for call in calls]

    def __call__(self, **_kwargs: object) -> SimpleNamespace:
        """Answer as TRL's fused output layer does."""
        logprobs = self.calls.pop(0)
        nothing = torch.zeros_like(logprobs)
        return SimpleNamespace(
            log_probs=logprobs, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool(), aux_loss=None
        )


def trainer(**fields: object) -> SimpleNamespace:
    """What the methods read of a trainer that uses none of the options that candor does not have."""
    accelerator = SimpleNamespace(
        device=torch.device("cpu"), gather_for_metrics=lambda x: x, gather=lambda x: x
    )
    common = {
        "accelerator": accelerator,
        "model": SimpleNamespace(training=True),
        "aux_loss_enabled": False,
        "precompute_ref_logps": True,
        "_metrics": {"train": defaultdict(list), "eval": defaultdict(list)},
        "_total_train_tokens": 0,
        "_tp_size": 1,
    }
    return SimpleNamespace(**common | fields)


def sequences(n: int) -> dict[str, Tensor]:
    """A prompt of one token and an answer of one, `n` times."""
    return {
        "input_ids": torch.ones(n, 2, dtype=torch.long),
        "attention_mask": torch.ones(n, 2, dtype=torch.long),
        "completion_mask": torch.tensor([[0, 1]] * n),
    }


def of_dpo(policy: Tensor, reference: Tensor, beta: float, loss_type: str) -> Tensor:
    """DPOTrainer's loss of all comparisons."""
    n = policy.shape[1]
    inputs = sequences(2 * n) | {"ref_chosen_logps": reference[0], "ref_rejected_logps": reference[1]}
    fields = {
        "ld_alpha": None,
        "f_divergence_type": "reverse_kl",
        "loss_types": [loss_type],
        "loss_weights": [1.0],
        "beta": beta,
        "label_smoothing": 0.0,
        "use_weighting": False,
    }
    return DPOTrainer._compute_loss(trainer(**fields), Model(policy[:2]), inputs, False)


def of_kto(policy: Tensor, reference: Tensor) -> Tensor:
    """KTOTrainer's loss, with mismatched answers whose mean log-ratio is the divergence."""
    n = policy.shape[1]
    mismatched = torch.linspace(-9.0, -3.0, 2 * n, dtype=policy.dtype)
    inputs = sequences(2 * n) | {f"KL_{name}": ids for name, ids in sequences(2 * n).items()}
    inputs |= {
        "label": torch.tensor([True] * n + [False] * n),
        "ref_logps": reference[:2].reshape(-1),
        "ref_KL_logps": mismatched - DIVERGENCE,
    }
    fields = {
        "loss_type": "kto",
        "beta": 0.2,
        "desirable_weight": 1.0,
        "undesirable_weight": 1.5,
        "calculate_KL": True,
    }
    self = trainer(**fields)
    self._compute_kl_logps = lambda model, batch: KTOTrainer._compute_kl_logps(self, model, batch)
    return KTOTrainer._compute_loss(self, Model(mismatched, policy[:2]), inputs, False)


def of_simpo(policy: Tensor, _reference: Tensor) -> Tensor:
    """CPOTrainer's loss in its spelling of SimPO."""
    fields = {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 1.4, "label_smoothing": 0.1, "alpha": 0.0}
    losses, *_ = CPOTrainer.cpo_loss(trainer(**fields), policy[0], policy[1])
    return losses.mean()


def of_orpo(policy: Tensor, _reference: Tensor) -> Tensor:
    """ORPOTrainer's odds ratio, which it subtracts from the NLL; it computes in float32."""
    losses, *_ = ORPOTrainer.odds_ratio_loss(trainer(beta=0.4), policy[0], policy[1])
    return -losses.mean()


# Each with what float32 inside it leaves.
CHECKS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "sigmoid": (lambda pi, ref: of_dpo(pi, ref, 0.1, "sigmoid"), 1e-12),
    "ipo": (lambda pi, ref: of_dpo(pi, ref, 0.25, "ipo"), 1e-12),
    "kto": (of_kto, 1e-12),
    "simpo": (of_simpo, 1e-12),
    "orpo": (of_orpo, 1e-6),
}


def main() -> None:
    """Compare every loss and its gradient."""
    for name, (of, tolerance) in CHECKS.items():
        policy = GOLDEN[f"{name}.policy"].clone().requires_grad_()
        loss = of(policy, GOLDEN[f"{name}.reference"])
        (gradient,) = torch.autograd.grad(loss, policy)
        golden_loss, n = GOLDEN[f"{name}.loss"].mean(), policy.shape[1]
        of_loss = abs(loss.item() - golden_loss.item()) / max(abs(golden_loss.item()), 1.0)
        of_gradient = (gradient - GOLDEN[f"{name}.grad"] / n).abs().max().item()
        print(f"trl: {name}: loss {golden_loss:.6f} differs by {of_loss:.1e}, gradients by {of_gradient:.1e}")
        assert max(of_loss, of_gradient) <= tolerance, name


if __name__ == "__main__":
    main()
