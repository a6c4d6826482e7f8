"""Generation that is stopped, anywhere: the next run goes on in the middle of its videos and ends the same, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import millivid.app.pipeline
from millivid.app.cli import main
from millivid.app.unfinished import UnfinishedVideos
from millivid.data import Clip, ClipDataset, ClipWriter

WEIGHTS = Path(millivid.app.pipeline.__file__).parent / "weights"
NAMES, CONTEXT, FRAMES = ("forward", "left", "right"), 8, 20
IDS = ["one", "two", "three"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("stops") / "clips", np.random.default_rng(0)
    writer = ClipWriter(folder, fps=20, size=(64, 64), action_names=NAMES, source={})
    for id in IDS:
        count = CONTEXT + FRAMES
        frames = (
            np.repeat(rng.integers(0, 256, (1, 8, 8, 3), np.uint8), count, axis=0).repeat(8, axis=1).repeat(8, axis=2)
        )
        poses = np.zeros((count, 5), np.float32)
        writer.write(id, Clip(frames=frames, actions=rng.integers(0, 3, count), poses=poses))
    writer.finish({"test": IDS})
    return folder


def generate(clips: Path, out: Path, *words: str) -> int:
    model, tokenizer = WEIGHTS / "full_resolution", WEIGHTS / "tokenizer"
    settings = f"data={clips} model={model} tokenizer={tokenizer} out={out} context={CONTEXT} steps=2"
    settings += " batch=2 precision=fp32"  # in bf16 a batch rounds otherwise than its videos alone
    return main(["generate", *settings.split(), *words])


@pytest.fixture(scope="module")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "generated"
    assert generate(clips, out) == 0
    return out


def same(a: Path, b: Path) -> None:
    """Both folders hold the same files, and nothing is left of work that stopped."""
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) for folder in (a, b)]
    assert names[0] == names[1] and not any("unfinished" in name for name in names[0])
    for name in names[0]:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def stop_after(saves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next run be interrupted once so many chunks are kept."""
    save: Callable[..., None] = UnfinishedVideos.save
    left = [saves]

    def counted(*arguments: object) -> None:
        save(*arguments)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(UnfinishedVideos, "save", counted)


@pytest.mark.parametrize("saves", [1, 2, 4])
def test_a_stopped_run_goes_on_where_it_was(
    clips: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(saves, patch)
        assert generate(clips, tmp_path / "made") == 130
    kept = list((tmp_path / "made" / ".unfinished").rglob("frames-*"))
    assert len(kept) == (saves - 1) % 3 + 1
    written: list[int] = []
    save = UnfinishedVideos.save
    monkeypatch.setattr(UnfinishedVideos, "save", lambda *arguments: (written.append(1), save(*arguments))[1])
    assert generate(clips, tmp_path / "made") == 0
    assert len(written) == 6 - saves  # of two batches of three chunks
    same(tmp_path / "made", whole)


@pytest.mark.parametrize("file", ["frames-00000.safetensors", "state.safetensors"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_what_is_damaged_begins_anew(
    clips: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    damage: str,
) -> None:
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        assert generate(clips, tmp_path / "made") == 130
    (path,) = (tmp_path / "made" / ".unfinished").rglob(file)
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content[:-50] if damage == "cut" else content)
    if damage == "gone":
        path.unlink()
    capsys.readouterr()
    assert generate(clips, tmp_path / "made") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "its videos begin anew" in line]
    assert len(told) == (0 if (file, damage) == ("state.safetensors", "gone") else 1)
    same(tmp_path / "made", whole)


def test_another_batch_size_gives_the_same_videos(clips: Path, whole: Path, tmp_path: Path) -> None:
    assert generate(clips, tmp_path / "made", "batch=1") == 0
    found, expected = ClipDataset(tmp_path / "made"), ClipDataset(whole)
    for id in IDS:
        difference = found.read(id).frames.astype(int) - expected.read(id).frames
        assert np.abs(difference).max() <= 1


def test_a_solver_that_there_is_not_is_one_sentence(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in {
        ("solver=dimm",): "there is no solver 'dimm'; did you mean 'ddim'?",
        ("steps=1",): "sampling steps is 1; it must be a whole number from 2",
        ("last_time=2",): "last time is 2.0; it must be a finite number from 0 to 0.999",
    }.items():
        assert generate(clips, tmp_path / "made", *words) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
