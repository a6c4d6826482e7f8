"""Look at a dataset: whether its files are as recorded, what is in it, and its frames for other software."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from millivid.command import REQUIRED, alone_in_out
from millivid.data import (
    ClipDataset,
    LatentDataset,
    dataset_format,
    export_webdataset,
    inspect_clips,
    inspection_text,
    write_inspection,
)


@dataclass(frozen=True, kw_only=True)
class DataVerifyConfig:
    """Compare the files of a dataset with what its dataset.json says.

    data: clips or latents, whose files are counted, measured and hashed.
    """

    data: Path = REQUIRED


def verify_data(config: DataVerifyConfig) -> None:
    """Compare every file with the manifest, dataset.json."""
    latents = dataset_format(config.data) == "millivid-latents"
    dataset = LatentDataset(config.data) if latents else ClipDataset(config.data)
    found = dataset.verify(progress=partial(tqdm, desc="verify", unit="video"))
    hashed = f"{found.hashes} of them hashed" if found.hashes < found.videos else "all hashed"
    print(f"{found.videos} videos, {found.frames} frames, {hashed}: as recorded")


@dataclass(frozen=True, kw_only=True)
class DataInspectConfig:
    """Say what is in a dataset and what would spoil training.

    data: clips; out: a folder for the page (index.html), or null for the text alone.
    """

    data: Path = REQUIRED
    out: Path | None = None


@alone_in_out
def inspect_data(config: DataInspectConfig) -> Path | None:
    """Print what is in a dataset and what would spoil training, and write it as a page."""
    inspection = inspect_clips(ClipDataset(config.data), progress=partial(tqdm, desc="inspect", unit="video"))
    print(inspection_text(inspection))
    return None if config.out is None else write_inspection(inspection, config.out)


@dataclass(frozen=True, kw_only=True)
class DataExportConfig:
    """Write the frames of clips for other software.

    data: clips; out: a folder of WebDataset tar shards; split: null for all videos; frames_per_shard: at most; image: png is
    exact.
    """

    data: Path = REQUIRED
    out: Path = REQUIRED
    split: str | None = None
    frames_per_shard: int = 10_000
    image: Literal["png", "jpg"] = "png"


@alone_in_out
def export_data(config: DataExportConfig) -> Path:
    """Write the frames of a dataset as tar shards."""
    export_webdataset(
        ClipDataset(config.data),
        config.out,
        split=config.split,
        frames_per_shard=config.frames_per_shard,
        image=config.image,
        progress=partial(tqdm, desc="export", unit="shard"),
    )
    return config.out
