"""Encode a clip dataset into a latent dataset, on one or many processes; a stopped run goes on where it was."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from millivid.command import (
    REQUIRED,
    ConfigError,
    Precision,
    alone_in_out,
    autocast,
    available_cores,
    check_device,
    device_named,
    launched_share,
    work_in_processes,
)
from millivid.data import ClipDataset, LatentWriter
from millivid.files.pretrained import fingerprint
from millivid.files.values import check_number
from millivid.tokenizer.model import HierarchicalTokenizer


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """Encode clips as latents.

    data: a clip dataset; tokenizer: a saved tokenizer; out: the latent dataset's folder; batch: frames at once. processes: how
    many encode at the same time on the CPU, each with one thread; 0 for one per core. device: such as cpu or cuda, auto for the
    fastest that is there. For many GPUs start one command per GPU with torchrun (RANK, WORLD_SIZE, LOCAL_RANK); cuda is then
    each one's own. precision: fp32, bf16, or auto for bf16 where it is fast.
    """

    data: Path = REQUIRED
    tokenizer: Path = REQUIRED
    out: Path = REQUIRED
    batch: int = 128
    processes: int = 1
    device: str = "auto"
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        check_number(self.batch, "batch", 1, whole=True)
        check_number(self.processes, "processes", 0, 1024, whole=True, hint=", where 0 is one per core")
        if self.processes != 1 and self.device != "auto" and not self.device.startswith("cpu"):
            raise ValueError(
                f"processes is {self.processes} with device={self.device}; it is for the CPU. "
                "For several GPUs start one command per GPU with torchrun"
            )


class Encoder:
    """What a process needs to encode videos: where they come from, the tokenizer, where they go.

    Raises ValueError for data of another size, or a folder that holds something else.
    """

    def __init__(self, config: EncodeConfig) -> None:
        self.config = config
        self.dataset = ClipDataset(config.data)
        self.tokenizer = HierarchicalTokenizer.from_pretrained(config.tokenizer).to(config.device)
        size = self.tokenizer.config.image_size
        if tuple(self.dataset.index.size) != size:
            raise ConfigError(
                f"{config.data} has frames of {tuple(self.dataset.index.size)}, but the tokenizer takes {size}; "
                "record clips of that size"
            )
        self.writer = LatentWriter(
            config.out,
            fps=self.dataset.index.fps,
            action_names=self.dataset.index.action_names,
            grids=self.tokenizer.config.grids,
            channels=self.tokenizer.config.latent_channels,
            tokenizer={"fingerprint": fingerprint(self.tokenizer)},
            source=self.dataset.index.source,
            pose_names=self.dataset.index.pose_names,
            action_type=self.dataset.index.action_type,
        )

    @torch.no_grad()
    def encode(self, video: str) -> None:
        """Write the latents of a video, whose files must be those that were recorded."""
        self.dataset.check(video)
        clip, device = self.dataset.read(video), self.config.device
        frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
        with autocast(device, self.config.precision):
            parts = [self.tokenizer.encode(part.to(device).float() / 255) for part in frames.split(self.config.batch)]
        levels = [torch.cat(level).float().cpu().numpy().astype(np.float16) for level in zip(*parts, strict=True)]
        self.writer.write(video, levels, clip.actions, clip.poses)


@alone_in_out
def encode_dataset(config: EncodeConfig) -> Path:
    """Write the latents of every video, verify them, and say how many there are; returns the folder.

    Whatever the number of processes, the files are the same (as long as torch's results do not depend on its number of
    threads). Where a launcher started several commands, each encodes its share, of which the first shows a progress bar,
    and the one that ends last verifies all. Raises ValueError for data of another size, or a file that cannot be read; it
    is named. Raises ChildProcessError where a process ended, for lack of memory perhaps; what is encoded is kept.
    """
    rank, world_size, device = launched_share(device_named(config.device, config.processes))
    config = replace(config, device=check_device(device))
    encoder = Encoder(config)
    ids, written = encoder.dataset.ids(), encoder.writer.written()
    share = ids[rank::world_size]
    todo = [id for id in share if id not in written]
    processes = min(config.processes or available_cores(), len(todo))
    done = len(share) - len(todo)
    with tqdm(total=len(share), initial=done, desc="encode", unit="video", disable=rank > 0) as bar:
        # A single process uses the encoder that is already loaded.
        prepare = partial(_prepare, config) if processes > 1 else lambda: encoder.encode
        work_in_processes(prepare, todo, processes, bar.update)
    missing = len(set(ids) - encoder.writer.written())
    if missing:
        print(
            f"rank {rank} is done; the others are at work on {missing} videos, and who ends last finishes the dataset"
        )
    elif todo or rank == 0:  # where nothing was left to encode, one of them verifies
        found = encoder.writer.finish(
            encoder.dataset.index.splits,
            frames=encoder.dataset.index.frames,
            progress=lambda ids: tqdm(ids, desc="verify", unit="video"),
        )
        print(f"encoded {found.videos} videos, {found.frames} frames, verified")
    return config.out


def _prepare(config: EncodeConfig) -> Callable[[str], None]:
    torch.set_num_threads(1)
    return Encoder(config).encode
