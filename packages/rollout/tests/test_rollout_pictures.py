"""Pictures are files that can be opened, appear whole, and say what is missing."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from millivid.rollout import (
    FramePackMirrored,
    FullResolution,
    MilliVid,
    ScheduleError,
    draw_plan_gif,
    draw_plan_png,
    plan,
)

PAPER = (256, 64, 16, 4)
SMALL = MilliVid(windows=(1, 4), history=256)


@pytest.mark.parametrize(
    "drawn",
    [
        plan(MilliVid(windows=(3, 12, 48, 192), history=768), PAPER, 256, 1024),
        FramePackMirrored(targets=(1, 4), context=(1, 4)).chunk(PAPER),
        FullResolution(num_frames=4).chunk(PAPER),
    ],
    ids=["paper plan", "mirrored chunk", "one level"],
)
def test_png(drawn: Any, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    draw_plan_png(drawn, tmp_path / "plan.png")
    assert [file.name for file in tmp_path.iterdir()] == ["plan.png"]
    with image.open(tmp_path / "plan.png") as opened:
        assert opened.format == "PNG" and opened.width == 1430
        colours = {colour for _, colour in opened.convert("RGB").getcolors(1 << 24)}
    assert {(242, 142, 43), (47, 111, 159)} <= colours  # targets and context


def test_chosen_steps(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    chunk = SMALL.chunk(PAPER)
    heights = []
    for steps in ([0], [0, 1, 4]):
        draw_plan_png(chunk, tmp_path / "plan.png", steps=steps)
        with image.open(tmp_path / "plan.png") as opened:
            heights.append(opened.height)
    assert heights[0] < heights[1]
    with pytest.raises(ScheduleError, match="step index is 5; expected 0 to 4"):
        draw_plan_png(chunk, tmp_path / "plan.png", steps=[5])
    with pytest.raises(ScheduleError, match="0 steps were asked for; expected 1 to 24"):
        draw_plan_png(chunk, tmp_path / "plan.png", steps=[])


def test_gif_has_a_picture_per_step(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    video = plan(SMALL, PAPER, 16, 32)
    draw_plan_gif(video, tmp_path / "plan.gif")
    with image.open(tmp_path / "plan.gif") as opened:
        assert opened.n_frames == len(video.chunk.steps) == 5


def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(figure.Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        draw_plan_png(SMALL.chunk(PAPER), tmp_path / "plan.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("draw", [draw_plan_png, draw_plan_gif])
def test_without_matplotlib(draw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_matplotlib(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        draw(SMALL.chunk(PAPER), tmp_path / "plan")
