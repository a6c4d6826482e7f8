"""The guide to the released files, line by line, on small files of the same layout."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from millivid.app.cli import main
from millivid.data import ClipDataset, LatentDataset, write_video

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
FRAMES, GRIDS, CHANNELS = 44, ((8, 12), (4, 6), (2, 3)), 6
SMALLER = {
    "import": "image_size=[32,96] patch_size=[4,8] schedule=millivid schedule.windows=[1,4,16] schedule.history=96",
    "generate": "context=37 steps=2 frames=3",
}


def weights(name: str) -> dict[str, Tensor]:
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        return {k.removeprefix("model."): file.get_tensor(k) for k in file.keys() if k.startswith("model.")}  # noqa: SIM118


def columns(rng: np.random.Generator) -> np.ndarray:
    table = rng.normal(size=(FRAMES, 6)).astype("<f4")
    table[:, 0] = rng.integers(0, 3, FRAMES)
    return table


def pyramid_bytes(levels: list[np.ndarray], table: np.ndarray) -> bytes:
    """The `.pyramid` layout: per start level and frame, that level and the coarser ones (c, h, w), and the columns."""
    return b"".join(
        b"".join(level[frame].tobytes() for level in levels[start:]) + table[frame].tobytes()
        for start in range(len(levels))
        for frame in range(FRAMES)
    )


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two checkpoints, `loopcraft` and `loopcraft_latents`, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    for name, golden in (
        ("autoencoder_3zg3ovzdhnun_128000", "ae_small_adaptive"),
        ("millivid_192k", "video_generate_millivid"),
    ):
        torch.save({"model": weights(golden), "step": 7}, f"{name}.ckpt")
    rng = np.random.default_rng(0)
    for folder in ("loopcraft", "loopcraft_latents"):
        (tmp_path / folder / "000").mkdir(parents=True)
        (tmp_path / folder / "index.json").write_text(json.dumps({"000/000": FRAMES, "000/001": FRAMES}))
    for key in ("000/000", "000/001"):
        write_video(Path(f"loopcraft/{key}.mp4"), rng.integers(0, 256, (FRAMES, 32, 96, 3), np.uint8), fps=20)
        np.save(f"loopcraft/{key}.npy", columns(rng))
        levels = [rng.integers(0x3D00, 0x3F00, (FRAMES, CHANNELS, *grid)).astype("<u2") for grid in GRIDS]  # bfloat16
        Path(f"loopcraft_latents/{key}.pyramid").write_bytes(pyramid_bytes(levels, columns(rng)))
    return tmp_path


def test_every_line_of_the_guide(release: Path) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "released.md").read_text(), re.DOTALL)
    for line in block.splitlines():
        program, *words = line.split()
        assert program == "millivid"
        words += [*SMALLER.get(words[0], "").split(), *(["test_fraction=0.5"] if words[0] == "data" else [])]
        assert main([word for word in words if word != "context=256" and word != "steps=50"]) == 0, line
    assert len(ClipDataset(release / "clips").ids("test")) == 1
    assert LatentDataset(release / "latents").read("000_001", 2).shape == (FRAMES, *GRIDS[2], CHANNELS)
    generated = ClipDataset(release / "generated")
    assert [generated.num_frames(id) for id in generated.ids()] == [40]
