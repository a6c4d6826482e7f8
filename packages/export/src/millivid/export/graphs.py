"""What is exported: the models cut where a host needs them, from plain tensors of one video to plain tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from millivid.diffusion import VideoDiT
from millivid.diffusion.embedding import sincos_3d
from millivid.diffusion.framepack import FramePackLayout, FramePackPatchify
from millivid.diffusion.transformer import Block, KeysValues, modulate
from millivid.export.steps import StepPart
from millivid.tokenizer import HierarchicalTokenizer

COLUMNS = ("position", "row", "column", "pose", "coarser", "condition")
"""What is known of each token of a sequence, as inputs with the prefix context_ or target_."""


class Encode(nn.Module):
    """A frame, (3, h, w) in [0, 1], to the latents of all levels, (token, c), finest level first and row-major."""

    inputs, outputs = ("frame",), ("latents",)

    def __init__(self, tokenizer: HierarchicalTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, frame: Tensor) -> Tensor:
        return self.tokenizer.encode_patches(self.tokenizer.patches(frame[None]))[0]


class Decode(nn.Module):
    """The latents of all levels to a frame, (3, h, w) in [0, 1], from one of the levels alone."""

    inputs, outputs = ("latents", "level"), ("frame",)

    def __init__(self, tokenizer: HierarchicalTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, latents: Tensor, level: Tensor) -> Tensor:
        return self.tokenizer.decode_finest(latents[None], level.long()[None])[0].clamp(0, 1)


class Tables(nn.Module):
    """Shifts, scales and gates of every block and of the head for some conditions at a time, t ()."""

    def __init__(self, model: VideoDiT) -> None:
        super().__init__()
        self.model = model
        self.inputs = ("t", "level", *(("action",) if model.config.num_actions else ()))
        self.outputs = ("blocks", "head")

    def forward(self, t: Tensor, level: Tensor, *action: Tensor) -> tuple[Tensor, Tensor]:
        """level, action: of each row, a category (-1 for none) or a vector; gives (block, row, 6 width), (row, 2 width)."""
        given = None if not action else action[0] if action[0].is_floating_point() else action[0].long()
        c = self.model.conditioning(t.expand(level.shape), level.long(), given)
        blocks = torch.stack([block.adaLN_modulation(c) for block in _blocks(self.model)])
        return blocks, self.model.head.adaLN_modulation(c)


class Network(nn.Module):
    """What `Read`, `Denoise` and `DenoiseJoint` share: the model, and which columns it looks at."""

    def __init__(self, model: VideoDiT, context: StepPart, targets: StepPart) -> None:
        super().__init__()
        config = model.config
        self.model, self.layouts = model, {"context": context.layout, "target": targets.layout}
        unused = {name for name, used in (("pose", config.odometry), ("coarser", config.coarser_input)) if not used}
        self.columns = tuple(name for name in COLUMNS if name not in unused)
        self.inputs: tuple[str, ...] = ()

    def names(self, part: str, without: Sequence[str] = ()) -> tuple[str, ...]:
        """The inputs that a part's columns are."""
        return tuple(f"{part}_{name}" for name in self.columns if name not in without)

    def given(self, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """The inputs by name, whole numbers as torch indexes with."""
        named = zip(self.inputs, values, strict=True)
        return {name: value if value.is_floating_point() else value.long() for name, value in named}

    def embedded(self, x: Tensor, part: str) -> Tensor:
        """Latents of a part, (token, c), as the network's tokens."""
        layout: FramePackLayout | None = self.layouts[part]
        if layout is None:
            assert isinstance(self.model.patchify, nn.Linear)
            return self.model.patchify(x)
        assert isinstance(self.model.patchify, FramePackPatchify)
        return self.model.patchify.embed(x[None], layout)[0]

    def placed(self, given: dict[str, Tensor], part: str) -> Tensor:
        """What a part's tokens are told of their places, poses and coarser context."""
        row, column = given[f"{part}_row"], given[f"{part}_column"]
        embedding = sincos_3d(given[f"{part}_position"], row, column, self.model.config.width)
        if self.model.pose_embedding is not None:
            embedding = embedding + self.model.pose_embedding(given[f"{part}_pose"])
        if self.model.coarser is not None:
            index, below = given[f"{part}_coarser"], 2 * (row % 2) + column % 2
            maps = self.model.coarser(given["context"][index.clamp(min=0)]).unflatten(-1, (4, -1))
            chosen = maps.gather(1, below[:, None, None].expand(-1, 1, maps.shape[-1])).squeeze(1)
            embedding = embedding + chosen * (index >= 0).unsqueeze(-1)
        return embedding


class Read(Network):
    """A frozen context, (token, c) as the network sees it: its keys and values, and what the targets are told of it."""

    outputs = ("keys", "values", "placed")

    def __init__(self, model: VideoDiT, context: StepPart, targets: StepPart) -> None:
        super().__init__(model, context, targets)
        self.inputs = ("context", *self.names("context"), "context_blocks", *self.names("target", ("condition",)))

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = self.given(values)
        h = (self.embedded(given["context"], "context") + self.placed(given, "context"))[None]
        row, tables = given["context_condition"], given["context_blocks"]
        read = []
        for number, block in enumerate(_blocks(self.model)):
            rows = tables[number].chunk(6, dim=-1)
            if number == len(self.model.blocks) - 1:
                read.append(block.attn.project(modulate(h, rows[0], rows[1], row))[1])
            else:
                attended, own = block.attn(modulate(h, rows[0], rows[1], row))
                h = block._finish(h, attended, rows, row)
                read.append(own)
        keys, values_ = (torch.stack([getattr(own, name)[0] for own in read]) for name in ("k", "v"))
        return keys, values_, self.placed(given, "target")


class Denoise(Network):
    """Noisy targets, (token, c), to the data that the network sees in them, given a context that was read."""

    outputs = ("data",)

    def __init__(self, model: VideoDiT, context: StepPart, targets: StepPart) -> None:
        super().__init__(model, context, targets)
        self.inputs = ("noisy", "alpha", "sigma", "placed", "keys", "values", "blocks", "head", "target_condition")

    def forward(self, *values: Tensor) -> Tensor:
        given = self.given(values)
        h = (self.embedded(given["noisy"], "target") + given["placed"])[None]
        row = given["target_condition"]
        for number, block in enumerate(_blocks(self.model)):
            rows = given["blocks"][number].chunk(6, dim=-1)
            seen = KeysValues(given["keys"][number][None], given["values"][number][None])
            h = block._finish(h, block.attn(modulate(h, rows[0], rows[1], row), None, seen)[0], rows, row)
        return _data(self.model, given, h, row)


class DenoiseJoint(Network):
    """The same where the context looks at the targets too, so that it cannot be read ahead."""

    outputs = ("data",)

    def __init__(self, model: VideoDiT, context: StepPart, targets: StepPart) -> None:
        super().__init__(model, context, targets)
        names = ("noisy", "alpha", "sigma", "context", *self.names("context"), "context_blocks", *self.names("target"))
        self.inputs = (*names, "blocks", "head")

    def forward(self, *values: Tensor) -> Tensor:
        given = self.given(values)
        parts = (("context", "context"), ("noisy", "target"))
        h = torch.cat([self.embedded(given[x], part) + self.placed(given, part) for x, part in parts])[None]
        targets = given["target_condition"]
        row = torch.cat([given["context_condition"], targets + given["context_blocks"].shape[1]])
        for number, block in enumerate(_blocks(self.model)):
            tables = torch.cat([given["context_blocks"][number], given["blocks"][number]])
            rows = tables.chunk(6, dim=-1)
            h = block._finish(h, block.attn(modulate(h, rows[0], rows[1], row))[0], rows, row)
        return _data(self.model, given, h[:, -len(targets) :], targets)


def _blocks(model: VideoDiT) -> list[Block]:
    return [block for block in model.blocks if isinstance(block, Block)]


def _data(model: VideoDiT, given: dict[str, Tensor], h: Tensor, row: Tensor) -> Tensor:
    shift, scale = given["head"].chunk(2, dim=-1)
    predicted = model.head.linear(modulate(h, shift, scale, row))[0]
    return model.data_and_noise(predicted, given["noisy"], given["alpha"], given["sigma"])[0]
