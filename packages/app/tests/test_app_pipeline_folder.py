"""A pipeline as one folder: saved, loaded, shipped, on the hub; and what is none."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import millivid.app.pipeline_folder
from millivid.app import VideoPipeline
from millivid.app.cli import main
from millivid.app.pipeline_folder import NEEDED, RUNS, SHIPPED, WEIGHTS
from millivid.diffusion import VideoDiT, VideoDiTConfig, VideoModelInfo
from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig, fingerprint


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pipeline's folder."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"width": 24, "depth": 1, "num_heads": 2, "latent_channels": 4}
    tokenizer = HierarchicalTokenizer(TokenizerConfig(image_size=(16, 16), patch_size=(4, 4), num_levels=2, **sizes))
    model = VideoDiT(VideoDiTConfig(grids=tokenizer.config.grids, **sizes))
    info = VideoModelInfo(
        schedule={"name": "full_resolution", "num_frames": 4},
        tokenizer=fingerprint(tokenizer),
        examples=1200,
        sampling_steps=3,
        solver="unipc",
        last_time=0.2,
        context=2,
        action_names=("forward", "left", "right"),
        trained_on={"world": "voxel"},
    )
    pipeline = VideoPipeline(tokenizer, model, info)
    pipeline.about = "# Figures\n\nPSNR 99.\n"
    return pipeline.save_pretrained(tmp_path_factory.mktemp("saved") / "pipeline", license="mit")


def test_what_was_saved_is_loaded(saved: Path, tmp_path: Path) -> None:
    one = VideoPipeline.from_pretrained(saved, precision="fp32")
    assert one.info.action_names == ("forward", "left", "right") and one.sampler().solver == "unipc"
    again = one.save_pretrained(tmp_path / "again", license="mit")
    other = VideoPipeline.from_pretrained(str(again), precision="fp32")
    context, actions = torch.rand(1, 2, 3, 16, 16), torch.tensor([[0, 1, 2, 0]])
    assert torch.equal(one.generate(context, actions, seed=1), other.generate(context, actions, seed=1))
    for file in saved.rglob("*"):
        assert file.is_dir() or file.read_bytes() == (again / file.relative_to(saved)).read_bytes()
    parts = VideoPipeline.from_pretrained(saved / "model", saved / "tokenizer")
    assert parts.info == one.info


def test_the_card_introduces_it(saved: Path) -> None:
    text = (saved / "README.md").read_text()
    assert text.startswith("---\nlicense: mit\nlibrary_name: millivid\n")
    for line in ("1,200", "voxel", "forward, left, right", "unipc with 3", "## Figures\n\nPSNR 99.", "commit"):
        assert line in text


def test_what_is_shipped_has_names() -> None:
    tiny = VideoPipeline.from_pretrained("tiny", precision="fp32")
    old = VideoPipeline.from_pretrained(WEIGHTS / RUNS[0], WEIGHTS / "tokenizer", precision="fp32")
    assert tiny.info == old.info and tiny.about and "LPIPS" in tiny.about
    assert fingerprint(tiny.tokenizer) == fingerprint(old.tokenizer)
    assert list(SHIPPED) == ["tiny", "tiny_framepack", "tiny_full_resolution"]


def test_nothing_that_is_there_is_written_over(saved: Path) -> None:
    pipeline = VideoPipeline.from_pretrained(saved)
    before = {file: file.stat().st_mtime_ns for file in saved.rglob("*")}
    with pytest.raises(ValueError, match="exists already; choose another folder"):
        pipeline.save_pretrained(saved)
    assert before == {file: file.stat().st_mtime_ns for file in saved.rglob("*")}


@pytest.mark.parametrize("missing", NEEDED)
def test_half_a_pipeline_is_refused(saved: Path, tmp_path: Path, missing: str) -> None:
    shutil.copytree(saved, tmp_path / "half")
    (tmp_path / "half" / missing).unlink()
    with pytest.raises(ValueError, match=f"half is half a pipeline: {missing} is missing"):
        VideoPipeline.from_pretrained(tmp_path / "half")


def test_what_is_no_pipeline_is_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model holds no pipeline: it is a single model, give its tokenizer too"):
        VideoPipeline.from_pretrained(saved / "model")
    with pytest.raises(ValueError, match=r"holds no pipeline: it has no pipeline\.json"):
        VideoPipeline.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no pipeline at tinny: expected tiny, tiny_framepack"):
        VideoPipeline.from_pretrained("tinny")
    shutil.copytree(saved, tmp_path / "later")
    (tmp_path / "later" / "pipeline.json").write_text(json.dumps({"format": "millivid-pipeline", "version": 2}))
    with pytest.raises(
        ValueError, match="is millivid-pipeline 2, and this version of millivid reads millivid-pipeline 1"
    ):
        VideoPipeline.from_pretrained(tmp_path / "later")


def test_the_hub(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against stand-ins: nothing is asked of the network."""
    hub = millivid.app.pipeline_folder
    asked: list[Any] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(saved)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert VideoPipeline.from_pretrained("someone/walks").info.examples == 1200
    assert asked[0][0] == "someone/walks" and {*NEEDED, "pipeline.json"} <= set(asked[0][1])

    def unreachable(name: str, allow_patterns: list[str]) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)
    with pytest.raises(
        ValueError, match="no pipeline at someone/walks: it is no folder here, and the hub did not give it"
    ):
        VideoPipeline.from_pretrained("someone/walks")

    class Api:
        def __init__(self, token: str | None) -> None:
            asked.append(token)

        def create_repo(self, repo: str, private: bool | None, exist_ok: bool) -> Any:
            return type("Repo", (), {"repo_id": f"someone/{repo}"})

        def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> str:
            shutil.copytree(folder_path, tmp_path / "uploaded")
            return f"https://hub.example/{repo_id}"

    monkeypatch.setattr(hub, "HfApi", Api)
    pipeline = VideoPipeline.from_pretrained(saved)
    assert pipeline.push_to_hub("walks", token="secret", license="mit") == "https://hub.example/someone/walks"
    assert asked[-1] == "secret" and VideoPipeline.from_pretrained(tmp_path / "uploaded").info == pipeline.info


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no model is named; give pipeline=, or model= and tokenizer="),
        (["model=a"], "model and tokenizer belong together; give both, or pipeline="),
        (["pipeline=tiny", "model=a", "tokenizer=b"], "pipeline and model are both given"),
        (["pipeline=tinny"], "no pipeline at tinny: expected tiny"),
    ],
)
def test_commands_take_pipelines(
    words: list[str], sentence: str, tmp_path: Path, walk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", f"data={walk / 'clips'}", f"out={tmp_path / 'out'}", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_generate_takes_a_pipeline(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"data={walk / 'clips'}", "pipeline=tiny", "frames=4", "steps=2", "count=1"]
    assert main(["generate", *words, f"out={tmp_path / 'out'}"]) == 0, capsys.readouterr().err
