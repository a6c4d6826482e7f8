"""Import a folder of anyone's videos, or the paper's released dataset: videos or images as clips, latents as latents."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from millivid.command import REQUIRED, ConfigError, parse_share
from millivid.data import import_released_clips, import_released_latents, import_videos
from millivid.tokenizer import HierarchicalTokenizer, fingerprint

OF_VIDEOS = ("size", "fit", "fps", "frames", "action_columns", "pose_columns", "columns", "action_names", "share")


@dataclass(frozen=True, kw_only=True)
class ImportDataConfig:
    """What to import.

    source: a folder of videos with or without tables beside them (.csv, .parquet, .npy), or of images, or the paper's release
    (which has an index.json). out: the dataset to write. errors: whether a damaged file is left out and listed (skip) or
    ends the import (raise). test_fraction: share of the test split. lossless: store clips so. tokenizer: for the release's
    .pyramid files, the imported tokenizer that made them.

    For videos: size: (height, width), null if all have one size already; fit: crop, pad or stretch to it; fps: null for that
    of the first video; frames: cut into pieces of so many, 0 for whole videos; action_columns, pose_columns: of the tables,
    null for those called action..., and x, y, z, yaw, pitch or pose...; columns: names for tables without; action_names: of
    actions that are whole numbers; share: as 3/64, to do only a part. See docs/data.md.
    """

    source: Path = REQUIRED
    out: Path = REQUIRED
    tokenizer: Path | None = None
    errors: Literal["raise", "skip"] = "skip"
    test_fraction: float = 0.01
    lossless: bool = False
    size: tuple[int, int] | None = None
    fit: Literal["crop", "pad", "stretch"] = "crop"
    fps: float | None = None
    frames: int = 0
    action_columns: tuple[str, ...] | None = None
    pose_columns: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    share: str = "0/1"

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction <= 1:
            raise ValueError(f"test_fraction is {self.test_fraction}; it must lie between 0 and 1")
        parse_share(self.share)


def import_data(config: ImportDataConfig) -> Path | None:
    """Import; returns the dataset's folder once it is finished."""
    if (config.source / "index.json").is_file():
        return _import_release(config)
    if config.tokenizer is not None:
        raise ConfigError(f"tokenizer= goes with the release's .pyramid files; {config.source} has no index.json")
    settings = {name: getattr(config, name) for name in ("errors", "test_fraction", "lossless", *OF_VIDEOS)}
    report = import_videos(
        config.source, config.out, **settings | {"share": parse_share(config.share)}, progress=_progress
    )
    for line in report.lines():
        print(line)
    return config.out if report.complete else None


def _import_release(config: ImportDataConfig) -> Path:
    for name in OF_VIDEOS:
        if getattr(config, name) != getattr(ImportDataConfig, name):
            raise ConfigError(f"{name}= is for a folder of videos, and {config.source} is a release; leave it out")
    shared = {"test_fraction": config.test_fraction, "errors": config.errors, "progress": _progress}
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


def _progress(keys: list[str]) -> Iterable[str]:
    with tqdm(keys, desc="import", unit="video") as bar:
        yield from bar
