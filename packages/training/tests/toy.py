"""A small task for the tests, also run by processes that they start: `python toy.py FOLDER key=value ...`."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from millivid.command import build, run_command
from millivid.training import TrainingConfig, join_processes, train

BASE = {"batch_size": 8, "warmup": 2, "lr": 0.01, "precision": "fp32", "steps": 20}


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(x))


class ToyModel(nn.Module):
    """A residual network with what models of this kind have: an embedding, a frozen table, a buffer."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.embed = nn.Linear(6, width)
        self.kind = nn.Embedding(3, width)
        self.frozen = nn.Parameter(torch.ones(width), requires_grad=False)
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.head = nn.Linear(width, 1)
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        x = (self.embed(x) + self.kind(kind)) * self.frozen
        for block in self.blocks:
            x = block(x)
        return self.scale * self.head(x)[:, 0]


class Toy:
    """The sum of random numbers; the loss is a mean over some of a batch only, and some have more of those than others."""

    tokens = 6

    def __init__(self, size: int = 100, on_example: Callable[[int], None] | None = None) -> None:
        torch.manual_seed(0)
        self.model = ToyModel()
        self.examples = self
        self.size, self.on_example = size, on_example
        self.poisoned: set[int] = set()

    def __len__(self) -> int:
        return self.size

    def example(self, index: int, generator: torch.Generator) -> tuple[Tensor, int, bool]:
        if self.on_example is not None:
            self.on_example(index)
        x = torch.randn(6, generator=generator) + index / self.size
        counted = bool(torch.rand((), generator=generator) < 0.7) or index % 4 == 0
        return (x * torch.nan if index in self.poisoned else x), index % 3, counted

    def collate(self, examples: list) -> tuple[Tensor, Tensor, Tensor]:
        x, kind, counted = zip(*examples, strict=True)
        return torch.stack(x), torch.tensor(kind), torch.tensor(counted)

    def weight(self, batch: tuple[Tensor, Tensor, Tensor]) -> float:
        return float(batch[2].sum())

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        x, kind, counted = batch
        squared = (self.model(x, kind).float() - x.sum(dim=1)).square()
        loss = (squared * counted).sum() / counted.sum().clamp(min=1)
        return loss, {f"loss_kind_{int(kind[0])}": squared[0].detach()}

    def pictures(self, model: nn.Module) -> dict[str, Tensor]:
        assert not model.training
        return {"grey": torch.full((3, 4, 4), float(model.head.bias.detach().abs().clamp(0, 1)))}


def settings(**given: object) -> TrainingConfig:
    return TrainingConfig(**{**BASE, **given})


def main(folder: Path, words: list[str]) -> None:
    """Train as the words say; `crawl=S` waits S seconds per example, `die=R` kills process R after its
    5th step, `refuse=I` makes example I unreadable."""
    given = {key: int(value) if value.isdigit() else value for key, value in (word.split("=") for word in words)}
    crawl, die, refuse = float(given.pop("crawl", 0)), given.pop("die", None), given.pop("refuse", None)
    config = build(TrainingConfig, {**BASE, **given})
    processes = join_processes("cpu", group=config.zero is not None)
    seen: list[int] = []

    def on_example(index: int) -> None:
        time.sleep(crawl)
        if index == refuse:
            raise ValueError(f"video_{index}.mp4 is damaged")
        seen.append(index)
        if die == processes.rank and len(seen) > 5 * config.batch_size // processes.count:
            os.kill(os.getpid(), signal.SIGKILL)

    folder.mkdir(exist_ok=True)
    train(Toy(on_example=on_example), config, folder, progress=False, processes=processes)


if __name__ == "__main__":

    def toy(config: TrainingConfig) -> None:
        main(Path(sys.argv[1]), sys.argv[2:])

    sys.exit(run_command(toy, []))
