"""Exported models against the pipelines they come from, frame by frame, and what is refused."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from millivid.app import VideoPipeline
from millivid.app.cli import main
from millivid.export import Player, export_onnx
from millivid.export.player import normal

from .portable import PortableNoise

pytest.importorskip("onnx", reason="onnx is not installed")
MILLIVID = {"name": "millivid", "windows": [1, 4, 16], "history": 16}
KINDS: dict[str, dict[str, Any]] = {
    "the shipped one's": {
        "schedule": MILLIVID, "frozen_context": True, "coarser_input": True, "normalize_latents": True, "prediction": "data",
        "odometry": ((0.1, 0.0), (0.0, 30.0), (0.0, -30.0)),
    },
    "the paper's": {"schedule": {"name": "millivid", "windows": [1, 4, 16, 64], "history": 256}, "levels": 4},
    "FramePack's": {
        "schedule": {"name": "framepack", "num_targets": 2, "context": [2, 4, 8]}, "patchify": "framepack", "bottleneck": 16,
        "depth": 1,
    },
    "FramePack's, frozen": {
        "schedule": {"name": "framepack", "num_targets": 2, "context": [2, 4, 8]}, "patchify": "framepack",
        "frozen_context": True, "depth": 1,
    },
    "of vectors": {
        "schedule": MILLIVID, "frozen_context": True, "action_type": "continuous", "num_actions": 2, "depth": 1,
        "tokenizer": {"variant": "cascaded"},
    },
    "without actions": {"schedule": {"name": "full_resolution", "num_frames": 4}, "num_actions": 0, "depth": 1},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_it_makes_the_same_frames(kind: str, small: Callable[..., VideoPipeline], tmp_path: Path) -> None:
    pipeline = small(**KINDS[kind])
    folder = export_onnx(pipeline, tmp_path / "made", precision="fp16" if kind == "of vectors" else "fp32")
    if kind == "of vectors":  # stored in half precision, and so computed with what that leaves
        for parameter in (*pipeline.tokenizer.parameters(), *pipeline.model.parameters()):
            parameter.data = parameter.data.half().float()
    chunk = pipeline.schedule.chunk(pipeline.model.config.tokens_per_level)
    given, count = chunk.num_context_frames, chunk.num_kept_frames + 3
    generator = torch.Generator().manual_seed(3)
    frames = (torch.rand(given, 3, *pipeline.tokenizer.config.image_size, generator=generator) * 255).round()
    actions = torch.randint(0, max(1, pipeline.model.config.num_actions), (given + count,), generator=generator)
    if pipeline.model.config.action_type == "continuous":
        actions = torch.randn(given + count, 2, generator=generator)
    noise = PortableNoise((7,))
    noise.start, noise.chunk = given, (len(chunk.steps), chunk.num_kept_frames)
    stream = pipeline.latents(frames[None] / 255, actions[None], pipeline.sampler(), noise=noise)
    theirs = torch.cat([made for _, made in pipeline.decoded(iter(stream)) if made.shape[1]], dim=1)[0]
    pictures = frames.permute(0, 2, 3, 1).byte().numpy()
    ours = np.stack(list(Player(folder).generate(list(pictures), actions.numpy(), seed=7)))
    assert len(ours) == count and ours.std() > 5
    error = np.square(ours / 255 - theirs.permute(0, 2, 3, 1).numpy()).mean(axis=(1, 2, 3)).max()
    assert -10 * np.log10(error) > 50


@pytest.mark.slow
def test_the_papers_size(small: Callable[..., VideoPipeline], tmp_path: Path) -> None:
    """3,840 tokens of width 768, one block deep, frozen: every step of the schedule is served by one pair of graphs."""
    pipeline = small(
        {"name": "millivid", "windows": [3, 12, 48, 192], "history": 768},
        levels=4,
        tokenizer={"image_size": (256, 256), "patch_size": (16, 16), "latent_channels": 32},
        width=768, depth=1, num_heads=12, latent_channels=32, frozen_context=True,
    )  # fmt: skip
    folder = export_onnx(pipeline, tmp_path / "made")
    plan = json.loads((folder / "plan.json").read_text())
    print(f"\nplan.json: {(folder / 'plan.json').stat().st_size / 1e6:.1f} MB; differences {plan['differences']}")
    assert len(plan["graphs"]) == 1 and len(plan["steps"]) == 1 + 4 + 16 + 64
    assert max(plan["differences"].values()) <= plan["tolerance"]


def test_a_context_that_is_too_short_is_refused(exported: Path) -> None:
    with pytest.raises(ValueError, match="2 frames are too few; the model needs 21"):
        list(Player(exported).generate([np.zeros((16, 16, 3), np.uint8)] * 2, [0] * 9))


@pytest.fixture(scope="module")
def exported(small: Callable[..., VideoPipeline], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(small(**KINDS["the shipped one's"]), tmp_path_factory.mktemp("export") / "made")


def test_a_file_that_is_not_as_it_was_written_is_refused(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in exported.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    Player(copy)
    content = bytearray((copy / "read.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "read.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"read\.onnx is missing or damaged"):
        Player(copy)
    plan = json.loads((copy / "plan.json").read_text())
    (copy / "plan.json").write_text(json.dumps(plan | {"version": 2}))
    with pytest.raises(ValueError, match="is millivid-onnx 2, this reads millivid-onnx 1"):
        Player(copy)
    (copy / "plan.json").write_text("[")
    with pytest.raises(ValueError, match=r"holds no plan\.json of an exported model"):
        Player(copy)


def test_a_host_needs_no_torch(exported: Path) -> None:
    script = f"import sys; from millivid.export import Player; Player({str(exported)!r}); print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
    source = Path(sys.modules["millivid.export.player"].__file__ or "").read_text()
    assert len(source.splitlines()) < 150
    assert set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE)) <= {
        *sys.stdlib_module_names,
        "numpy",
        "onnxruntime",
    }


def test_nothing_of_this_machine_is_in_a_graph(exported: Path) -> None:
    for file in exported.iterdir():
        assert b"site-packages" not in file.read_bytes() and b".py" not in file.read_bytes(), file.name


def test_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its command, and the host that plays what that has made of the shipped model."""
    text = (Path(__file__).parents[1] / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    assert main(["export", "onnx", "out=graphs"]) == 0 and "millivid export onnx out=graphs" in text
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out.splitlines()[-8:] == ["(64, 64, 3)"] * 8


def test_normal_numbers() -> None:
    drawn = normal(3, 5, 100_000)
    assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1) < 0.01 and np.isfinite(drawn).all()
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.02
    for other in (normal(4, 5, 100_000), normal(3, 6, 100_000)):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.02
    assert np.array_equal(normal(3, 5, 10), drawn[:10])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["opset=17"], "opset is 17; it is a whole number from 18"),
        (["model=nowhere"], "model and tokenizer belong together"),
        (["model=nowhere", "tokenizer=nowhere"], "no model at nowhere"),
        (["steps=1"], "sampling steps"),
        (["precision=fp8"], "precision"),
    ],
)
def test_mistakes(words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "onnx", f"out={tmp_path}/out", *words]) == 2
    told = capsys.readouterr().err.strip()
    assert sentence in told and len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, small: Callable[..., VideoPipeline]) -> None:
    (tmp_path / "own").touch()
    with pytest.raises(ValueError, match="exists already; choose another out="):
        export_onnx(small(MILLIVID), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["own"]


def test_what_cannot_be_exported_is_said(tmp_path: Path, small: Callable[..., VideoPipeline]) -> None:
    pipeline = small(MILLIVID)
    with torch.no_grad():
        pipeline.model.blocks[0].attn.proj.weight.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="the graph denoise differs from torch by nan"):
        export_onnx(pipeline, tmp_path / "made")
    assert not list(tmp_path.iterdir())
