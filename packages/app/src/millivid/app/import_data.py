"""Import the paper's released dataset: videos or images as clips, latents as latents."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from millivid.data import import_released_clips, import_released_latents
from millivid.tokenizer import HierarchicalTokenizer, fingerprint
from millivid.training import REQUIRED, ConfigError


@dataclass(frozen=True, kw_only=True)
class ImportDataConfig:
    """What to import.

    source: the release's folder, with index.json and .mp4 + .npy, .frames, or .pyramid files. out: the dataset to
    write. tokenizer: for .pyramid files, the imported tokenizer that made them. errors: whether a damaged file ends the
    import (raise) or is left out and listed (skip). test_fraction: share of the test split. lossless: store clips so.
    """

    source: Path = REQUIRED
    out: Path = REQUIRED
    tokenizer: Path | None = None
    errors: Literal["raise", "skip"] = "raise"
    test_fraction: float = 0.01
    lossless: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction <= 1:
            raise ValueError(f"test_fraction is {self.test_fraction}; it must lie between 0 and 1")


def import_data(config: ImportDataConfig) -> Path:
    """Import; returns the dataset's folder."""

    def track(keys: list[str]) -> Iterable[str]:
        with tqdm(keys, desc="import", unit="video") as bar:
            yield from bar

    shared = {"test_fraction": config.test_fraction, "errors": config.errors, "track": track}
    if any(config.source.rglob("*.pyramid")):
        if config.tokenizer is None:
            raise ConfigError(f"{config.source} holds latents; name the tokenizer that made them, tokenizer=DIR")
        tokenizer = HierarchicalTokenizer.from_pretrained(config.tokenizer)
        skipped = import_released_latents(
            config.source,
            config.out,
            grids=tokenizer.config.grids,
            channels=tokenizer.config.latent_channels,
            fingerprint=fingerprint(tokenizer),
            **shared,  # type: ignore[arg-type]
        )
    else:
        skipped = import_released_clips(config.source, config.out, lossless=config.lossless, **shared)  # type: ignore[arg-type]
    for key, why in skipped.items():
        print(f"left out {key}: {why}", file=sys.stderr)
    return config.out
