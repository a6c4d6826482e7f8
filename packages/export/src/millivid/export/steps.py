"""A schedule's steps as plain columns, and a solver as plain weights: what a host needs to know, and no more."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from millivid.diffusion import SamplerConfig, VideoDiT
from millivid.diffusion.framepack import FramePackLayout, FramePackPatchify
from millivid.diffusion.noise import alpha_sigma
from millivid.diffusion.tokens import TokenBatch, stack_tokens
from millivid.rollout import Step


@dataclass(frozen=True, kw_only=True)
class StepPart:
    """The context or the targets of a step: columns of its tokens, and of the sequence that attention sees.

    tokens: frame (of the chunk), token (of the frame's latents, level after level) and level, where latents are taken from or
    put. sequence: frame, level, position (the frame as the model counts), row, column, and the context token that lies one
    level up, -1 for none. layout: how FramePack's kernels make the sequence of the tokens.
    """

    tokens: dict[str, list[int]]
    sequence: dict[str, list[int]]
    layout: FramePackLayout | None

    @property
    def shape(self) -> tuple[Any, ...]:
        """Parts of equal shape are served by one graph."""
        cells = () if self.layout is None else tuple(self.layout.sequence.cell_level[0].tolist())
        return len(self.tokens["frame"]), len(self.sequence["frame"]), cells

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"tokens": self.tokens, "sequence": self.sequence}


@dataclass(frozen=True, kw_only=True)
class PlannedParts:
    """A step of a chunk: what is read, what is written, and the frame from which poses are seen.

    roles: of each level a string with a digit for each frame: 0 unseen, 1 read, 2 written.
    """

    context: StepPart
    targets: StepPart
    origin: int
    roles: list[str]

    @property
    def shape(self) -> tuple[Any, ...]:
        """Steps of equal shape are served by the same graphs."""
        return self.context.shape, self.targets.shape

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        parts = {"context": self.context.plain(), "targets": self.targets.plain()}
        return {"origin": self.origin, "roles": self.roles, **parts}


def describe_step(model: VideoDiT, step: Step) -> PlannedParts:
    """A step's columns. Raises ValueError for one that reads nothing, for which there is no graph."""
    batch = stack_tokens([model.tokens_of(step)])
    context, targets = (part.tokens for part in batch.split())
    if not context.level.shape[1]:
        raise ValueError("a step of the schedule reads no context, and such a step is not exported; give it history")
    first_target = int(targets.cell_frame.min())
    return PlannedParts(
        context=_part(model, context, context),
        targets=_part(model, targets, context),
        origin=first_target,
        roles=roles(step),
    )


def roles(step: Step) -> list[str]:
    """A step's roles as `PlannedParts` has them."""
    return ["".join(map(str, row)) for row in step.roles.tolist()]


def _part(model: VideoDiT, tokens: TokenBatch, context: TokenBatch) -> StepPart:
    layout = model.patchify.layout(tokens) if isinstance(model.patchify, FramePackPatchify) else None
    sequence, grids = tokens if layout is None else layout.sequence, model.config.grids
    counts = model.config.tokens_per_level
    first = torch.tensor([sum(counts[:level]) for level in range(len(counts))])
    widths = torch.tensor([width for _, width in grids])
    place = first[tokens.level] + tokens.row * widths[tokens.level] + tokens.column
    seen = {
        "frame": sequence.frame, "level": sequence.level, "position": sequence.relative_frame, "row": sequence.row,
        "column": sequence.column,
    }  # fmt: skip
    if model.coarser is not None:
        seen["coarser"] = tokens.coarser(context)
    return StepPart(
        tokens=_lists({"frame": tokens.frame, "token": place, "level": tokens.level}),
        sequence=_lists(seen),
        layout=layout,
    )


def _lists(columns: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: column[0].tolist() for name, column in columns.items()}


def describe_sampler(config: SamplerConfig) -> list[dict[str, Any]]:
    """Each evaluation: its time and amplitudes, and what it looks at, as weights of the noise and of the data found before.

    Whatever the solver, its noisy values are such sums; the data of the last evaluation are the result. Raises ValueError for
    guidance, for which the network would be asked twice.
    """
    if config.guidance != 1:
        raise ValueError(f"guidance is {config.guidance:g}; what is exported has none, give guidance=1")
    solver = config.make_solver()
    unit = torch.eye(len(solver.times) + 1, dtype=torch.float64)
    found: list[dict[str, Any]] = []

    def predict(noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        alpha, sigma = alpha_sigma(torch.tensor(t, dtype=torch.float64), config.shift)
        weights = noisy[: len(found) + 1].tolist()
        found.append({"t": t, "alpha": float(alpha), "sigma": float(sigma), "noisy": weights})
        data = unit[len(found)]
        return data, (noisy - alpha * data) / sigma

    solver.solve(predict, unit[0], config.shift)
    return found


def conditions(model: VideoDiT) -> dict[str, list[int]]:
    """The rows of the tables of a model with categories: level, then action, of which the first is none."""
    actions, levels = range(-1, model.config.num_actions), range(model.config.num_levels)
    return {
        "level": [level for level in levels for _ in actions],
        "action": [action for _ in levels for action in actions],
    }
