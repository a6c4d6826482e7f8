"""Muon for the weight matrices of linear layers, AdamW for the rest, on whole parameters or on partitions of them."""

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.adamw import adamw

from millivid.command import bf16_is_fast
from millivid.training.config import TrainingConfig
from millivid.training.partitions import Partition

BETAS, EPS = (0.9, 0.999), 1e-8
"""AdamW's."""
MOMENTUM, COEFFICIENTS, MUON_STEPS, MUON_EPS = 0.95, (3.4445, -4.7750, 2.0315), 5, 1e-7
"""Muon's, the last three of its Newton-Schulz iteration (Jordan et al. 2024)."""
State = dict[str, dict[str, Tensor]]
"""Tensors of a kind (momentum_buffer, exp_avg, exp_avg_sq, average) by the name of their parameter."""


def split_parameters(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """(weights of linear layers, everything else that is trained) by name, each parameter once."""
    linear = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = {name: p for name, p in trained.items() if id(p) in linear}
    return matrices, {name: p for name, p in trained.items() if name not in matrices}


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    """What the learning rate is multiplied with at a step (from 0): linear warm-up, then constant or a half cosine."""
    warmup = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.decay == "constant":
        return warmup
    progress = min(1.0, max(0, step - config.warmup) / max(1, config.steps - config.warmup))
    return warmup * 0.5 * (1 + math.cos(math.pi * progress))


def orthogonalize(gradient: Float[Tensor, "m n"], dtype: torch.dtype | None = None) -> Float[Tensor, "m n"]:
    """Nearly U V^T of the gradient's singular value decomposition, by Newton-Schulz iteration.

    dtype: of the iteration; None for bfloat16, as torch.optim.Muon has it, where that is fast, and float32 elsewhere, since
    some CPUs emulate bfloat16 at a thirtieth of float32's speed.
    """
    if dtype is None:
        dtype = torch.bfloat16 if bf16_is_fast(gradient.device) else torch.float32
    a, b, c = COEFFICIENTS
    x = gradient.to(dtype)
    if tall := len(x) > x.shape[1]:
        x = x.T
    x = x / x.norm().clamp(min=MUON_EPS)
    for _ in range(MUON_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MuonAdamW(torch.optim.Optimizer):
    """Updates a model as `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")` and `torch.optim.AdamW` do, side by side.

    The tensors that it updates may be replaced by flat partitions of which every process holds one (what ZeRO does): then
    `partitions` has to say how the parameters lie in them. Muon's momentum and AdamW's moments are kept per partition; a
    matrix's update is gathered before it is orthogonalised. With `config.ema`, it also keeps a running average of the
    weights.

    Raises ValueError for a model without linear layers.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        matrices, rest = split_parameters(model)
        if not matrices:
            raise ValueError(f"{type(model).__name__} has no linear layer, so Muon has nothing to train")
        groups = [{"params": list(matrices.values()), "rule": "muon"}, {"params": list(rest.values()), "rule": "adamw"}]
        super().__init__([group for group in groups if group["params"]], {"lr": config.lr})
        self.config = config
        self.updates = 0
        self.clip: float | None = None
        self.norm: Tensor | None = None
        self.partitions: dict[Tensor, Partition] = {
            p: Partition.whole(name, p) for name, p in (matrices | rest).items()
        }

    def prepare(self, step: int) -> None:
        """Set the learning rate of a training step (from 0), before `step`."""
        self.rate = self.config.lr * learning_rate_factor(step, self.config)
        self.decay = min(self.config.ema, (step + 1) / (step + 10))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every tensor that has a gradient; where `clip` is set, only if the gradient's norm is finite."""
        if self.clip is not None:
            gradients = [p for group in self.param_groups for p in group["params"]]
            self.norm = torch.nn.utils.clip_grad_norm_(gradients, self.clip or math.inf)
            if not torch.isfinite(self.norm):
                return
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if self.config.ema:
                for p in group["params"]:
                    self._state(p, "average")  # begins with the weights as they are now
            if group["rule"] == "adamw":
                self._adamw(trained)
            else:
                for p in trained:
                    self._muon(p)
            if self.config.ema:
                for p in group["params"]:
                    self._state(p, "average").lerp_(p, 1 - self.decay)

    def _muon(self, p: Tensor) -> None:
        gradient, buffer = cast(Tensor, p.grad), self._state(p, "momentum_buffer")
        buffer.lerp_(gradient, 1 - MOMENTUM)
        p.mul_(1 - self.rate * self.config.weight_decay)
        partition = self.partitions[p]
        dtype = torch.float32 if self.config.precision == "fp32" else None
        for parameter, update in partition.gather(gradient.lerp(buffer, MOMENTUM), only_local=True):
            rate = self.rate * 0.2 * math.sqrt(max(parameter.shape))  # the update's size then matches AdamW's
            for place, values in partition.places(parameter, p, orthogonalize(update, dtype)):
                place.add_(values, alpha=-rate)

    def _adamw(self, trained: list[Tensor]) -> None:
        adamw(
            trained,
            [cast(Tensor, p.grad) for p in trained],
            [self._state(p, "exp_avg") for p in trained],
            [self._state(p, "exp_avg_sq") for p in trained],
            [],
            [torch.full((), float(self.updates), device=p.device) for p in trained],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.rate,
            weight_decay=self.config.weight_decay,
            eps=EPS,
            maximize=False,
        )

    def _state(self, p: Tensor, kind: str) -> Tensor:
        state = self.state[p]
        if kind not in state:
            state[kind] = p.detach().clone() if kind == "average" else torch.zeros_like(p, requires_grad=False)
        return cast(Tensor, state[kind])

    def whole_state(self, keep: bool = True) -> State:
        """All state tensors, whole, on the CPU; every process has to call it, those with keep=False get nothing."""
        whole: State = {}
        for p, partition in self.partitions.items():
            for kind in sorted(self.state.get(p, {})):
                for parameter, tensor in partition.gather(self.state[p][kind]):
                    if keep:
                        whole.setdefault(kind, {})[parameter.name] = tensor.detach().to("cpu", copy=True)
        return whole

    @torch.no_grad()
    def load_whole_state(self, state: Mapping[str, Mapping[str, Tensor]], updates: int) -> None:
        """Take over what `whole_state` gave, also with another number of processes or another layout.

        Raises KeyError or ValueError where it is of other parameters.
        """
        self.updates = updates
        for p, partition in self.partitions.items():
            for kind in state:
                if any(parameter.name in state[kind] for parameter in partition.parameters):
                    partition.scatter(state[kind], self._state(p, kind))

    def weights(self, average: bool, keep: bool = True) -> dict[str, Tensor]:
        """The trained parameters by name, or their running average, whole, on the CPU; as `whole_state`."""
        whole: dict[str, Tensor] = {}
        for p, partition in self.partitions.items():
            for parameter, tensor in partition.gather(self._state(p, "average") if average else p):
                if keep:
                    whole[parameter.name] = tensor.detach().to("cpu", copy=True)
        return whole
