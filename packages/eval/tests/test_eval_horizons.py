"""Horizons count from 1 and figures follow their definitions."""

import math

import numpy as np
import pytest

from millivid.eval import PAPER_HORIZONS, EvaluationError, Horizon, VideosInMemory, evaluate, horizons_from
from millivid.eval.horizons import clip_horizons


def test_the_papers_horizons_cover_its_768_frames() -> None:
    assert [(h.name, h.first, h.last) for h in PAPER_HORIZONS] == [
        ("short", 1, 64), ("medium", 65, 256), ("long", 257, 768)
    ]  # fmt: skip
    frames = np.arange(1, 769)
    joined = np.concatenate([frames[h.span] for h in PAPER_HORIZONS])
    np.testing.assert_array_equal(joined, frames)


def test_horizons_from_edges() -> None:
    assert horizons_from((16, 64, 128)) == (
        Horizon("short", 1, 16),
        Horizon("medium", 17, 64),
        Horizon("long", 65, 128),
    )
    assert [h.name for h in horizons_from((8, 32))] == ["short", "long"]
    assert [h.name for h in horizons_from((1, 2, 3, 9))] == ["1-1", "2-2", "3-3", "4-9"]
    for edges in ((), (0, 4), (4, 4), (8, 2)):
        with pytest.raises(EvaluationError, match="must rise"):
            horizons_from(edges)


def test_horizons_are_clipped_to_what_exists() -> None:
    assert clip_horizons(PAPER_HORIZONS, 100) == (Horizon("short", 1, 64), Horizon("medium", 65, 100))
    with pytest.raises(EvaluationError, match="begin at frame 257"):
        clip_horizons(PAPER_HORIZONS[2:], 100)
    with pytest.raises(EvaluationError, match="different names"):
        clip_horizons((Horizon("a", 1, 2), Horizon("a", 3, 4)), 10)


@pytest.mark.parametrize(("first", "last"), [(0, 4), (5, 4), (-1, 1)])
def test_an_impossible_horizon_is_refused(first: int, last: int) -> None:
    with pytest.raises(EvaluationError, match="count from 1"):
        Horizon("x", first, last)


def test_figures_by_hand() -> None:
    # Two videos, one context frame, four generated ones; every pixel of frame t of video v is off by errors[v][t].
    errors = np.array([[51, 0, 51, 51], [0, 0, 102, 51]])
    truth = np.full((5, 12, 12, 3), 100, np.uint8)
    shown = {}
    for video, row in zip("ab", errors, strict=True):
        shown[video] = truth.copy()
        shown[video][1:] += row.astype(np.uint8).reshape(4, 1, 1, 1)
    reference = VideosInMemory({"a": truth, "b": truth})
    scores = evaluate(
        {"x": VideosInMemory(shown)},
        reference,
        start=1,
        horizons=horizons_from((2, 4)),
        metrics=["psnr"],
        progress=False,
    ).scores["x"]["psnr"]
    # 51 / 255 = 0.2 and 102 / 255 = 0.4: squared errors 0.04 and 0.16.
    np.testing.assert_allclose(10 ** (-scores.frames / 10), [[0.04, 0, 0.04, 0.04], [0, 0, 0.16, 0.04]], rtol=1e-5)
    expected = [-10 * math.log10(0.02), math.inf, -10 * math.log10(0.10), -10 * math.log10(0.04)]
    assert scores.curve.tolist() == pytest.approx(expected, rel=1e-5)
    assert scores.horizons["short"].value == pytest.approx(-10 * math.log10(0.01), rel=1e-5)  # (.04 + 0 + 0 + 0) / 4
    assert scores.horizons["long"].value == pytest.approx(
        -10 * math.log10(0.07), rel=1e-5
    )  # (.04 + .04 + .16 + .04) / 4
    a, b = -10 * math.log10(0.04), -10 * math.log10(0.10)
    assert scores.per_video["long"].tolist() == pytest.approx([a, b], rel=1e-5)
    # Draws of two videos: both the first (1 of 4), both the second, or one of each.
    long, short = scores.horizons["long"], scores.horizons["short"]
    assert (long.low, long.high, long.videos, long.items) == pytest.approx((b, a, 2, 4), rel=1e-5)
    assert scores.per_video["short"].tolist() == pytest.approx([-10 * math.log10(0.02), math.inf], rel=1e-5)
    assert (short.low, short.high) == pytest.approx((-10 * math.log10(0.02), math.inf), rel=1e-5)
    mean = (2 * a - 10 * math.log10(0.16) + a) / 4
    assert scores.frame_mean == pytest.approx({"short": math.inf, "long": mean}, rel=1e-5)
