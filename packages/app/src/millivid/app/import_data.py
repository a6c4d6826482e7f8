"""Import a folder of anyone's videos, or the paper's released dataset: videos or images as clips, latents as latents."""

import sys
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from tqdm import tqdm

from millivid.command import REQUIRED, ConfigError, alone_in_out, parse_share
from millivid.data import ImportSettings, import_released_clips, import_released_latents, import_videos
from millivid.tokenizer import HierarchicalTokenizer, fingerprint

OF_VIDEOS = {field.name for field in fields(ImportSettings)}
PROGRESS = partial(tqdm, desc="import", unit="video")
OF_A_RELEASE = {"source", "out", "tokenizer", "test_fraction", "errors", "lossless"}


@dataclass(frozen=True, kw_only=True)
class ImportDataConfig(ImportSettings):
    """What to import.

    source: a folder of videos with or without tables beside them (.csv, .parquet, .npy), or of images, or the paper's release
    (which has an index.json and needs no settings but tokenizer, test_fraction, errors and lossless). out: the dataset to
    write. tokenizer: for the release's .pyramid files, the imported tokenizer that made them. share: as 3/64, to do only a
    part. See docs/data.md.
    """

    source: Path = REQUIRED
    out: Path = REQUIRED
    tokenizer: Path | None = None
    share: str = "0/1"

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_share(self.share)


@alone_in_out
def import_data(config: ImportDataConfig) -> Path | None:
    """Import; returns the dataset's folder once it is finished."""
    if (config.source / "index.json").is_file():
        return _import_release(config)
    if config.tokenizer is not None:
        raise ConfigError(f"tokenizer= goes with the release's .pyramid files; {config.source} has no index.json")
    settings = {name: getattr(config, name) for name in OF_VIDEOS}
    report = import_videos(config.source, config.out, share=parse_share(config.share), progress=PROGRESS, **settings)
    for line in report.lines():
        print(line)
    return config.out if report.complete else None


def _import_release(config: ImportDataConfig) -> Path:
    for field in fields(config):
        if field.name not in OF_A_RELEASE and getattr(config, field.name) != field.default:
            raise ConfigError(
                f"{field.name}= is for a folder of videos, and {config.source} is a release; leave it out"
            )
    shared = {"test_fraction": config.test_fraction, "errors": config.errors, "progress": PROGRESS}
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
