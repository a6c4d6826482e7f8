"""Videos that are being generated, on disk: a run that was killed goes on in the middle of them."""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from millivid.files import replacing

STATE, FRAMES = "state.safetensors", "frames-{:05d}.safetensors"


class UnfinishedVideos:
    """Where videos stand after each chunk: the frames that it finished, and what the next one needs.

    folder: theirs alone. about: which videos, by which settings; what others left there is not read.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about, self.chunks = folder, json.dumps(about, sort_keys=True), 0

    def load(self) -> tuple[list[Tensor], dict[str, Tensor]] | None:
        """The frames of all chunks so far, and the state after the last; None to begin at the beginning.

        Where files are damaged it says so on standard error, in one sentence.
        """
        if not (self.folder / STATE).is_file():
            return None
        try:
            state = self._read(STATE)
            chunks = int(state.pop("chunks"))
            frames = [self._read(FRAMES.format(chunk))["frames"] for chunk in range(chunks)]
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            print(f"{self.folder} cannot be gone on with ({error}); its videos begin anew", file=sys.stderr)
            return None
        self.chunks = chunks
        return frames, state

    def save(self, frames: Tensor, state: Mapping[str, Tensor]) -> None:
        """Add a chunk's frames, uint8, and take the state after it for the one before."""
        self._write(FRAMES.format(self.chunks), {"frames": frames})
        self.chunks += 1
        self._write(STATE, {**state, "chunks": torch.tensor(self.chunks)})

    def remove(self) -> None:
        """Delete what was kept, once the videos are written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        whole = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
        with replacing(self.folder / name) as temporary:
            save_file(whole, temporary, {"about": self.about, "sha256": _hash(whole)})

    def _read(self, name: str) -> dict[str, Tensor]:
        path = self.folder / name
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("about") != self.about:
            raise ValueError(f"{name} is of other videos or settings")
        if metadata.get("sha256") != _hash(tensors):
            raise ValueError(f"{name} is damaged")
        return tensors


def _hash(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)} ".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
