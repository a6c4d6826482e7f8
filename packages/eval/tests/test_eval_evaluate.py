"""Runs are matched with the truth, or the mismatch is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from eval_worlds import moving_discs, truth_and_run

from millivid.eval import (
    AfterContext,
    EvaluationError,
    MissingWeights,
    OtherVideos,
    ShuffledFrames,
    Transformed,
    VideosInMemory,
    VideoSource,
    evaluate,
    horizons_from,
    psnr,
    ssim,
)
from millivid.eval.frames import to_unit_range
from millivid.eval.videos import Frames

CHEAP = ["psnr", "ssim"]


def test_curves_are_the_metrics_of_the_frames_and_batches_do_not_matter() -> None:
    reference, run = truth_and_run()
    first, second = (
        evaluate({"run": run}, reference, start=8, metrics=CHEAP, batch_frames=size, progress=False)
        for size in (5, 100)
    )
    for name in CHEAP:
        np.testing.assert_allclose(
            first.scores["run"][name].frames, second.scores["run"][name].frames, rtol=1e-5, atol=1e-9
        )
    for row, id in enumerate(reference.ids()):
        a, b = (to_unit_range(source.read(id, 8, 24)) for source in (run, reference))
        scores = first.scores["run"]
        np.testing.assert_allclose(scores["psnr"].frames[row], psnr(a, b).numpy(), rtol=1e-4)
        np.testing.assert_allclose(scores["ssim"].frames[row], ssim(a, b).numpy(), rtol=1e-4)
    assert first.scores["run"]["psnr"].curve.shape == (16,)
    assert first.num_frames == 16 and first.sizes == ((32, 32),) and first.ids == ("world_0", "world_1", "world_2")


def test_the_truth_itself_is_perfect_and_its_json_has_no_infinity() -> None:
    reference, _ = truth_and_run()
    results = evaluate({"truth": reference}, reference, start=8, metrics=CHEAP, progress=False)
    assert results.scores["truth"]["psnr"].horizons["all"].value == np.inf
    assert results.scores["truth"]["ssim"].horizons["all"].value == pytest.approx(1)
    text = json.dumps(results.to_dict(), allow_nan=False)
    assert json.loads(text)["runs"]["truth"]["psnr"]["horizons"]["all"]["value"] is None


def test_constant_and_single_frame_videos_give_numbers() -> None:
    black = VideosInMemory({"v": np.zeros((1, 32, 32, 3), np.uint8)})
    white = VideosInMemory({"v": np.full((1, 32, 32, 3), 255, np.uint8)})
    results = evaluate({"white": white}, black, start=0, metrics=CHEAP, progress=False)
    assert results.scores["white"]["psnr"].curve.tolist() == [0.0]
    assert np.isfinite(results.scores["white"]["ssim"].curve).all()
    with pytest.raises(EvaluationError, match="start=4 .*leaves nothing to score: v of the reference has 1 frames"):
        evaluate({"white": white}, black, start=4, metrics=CHEAP, progress=False)


def _bad(case: str) -> tuple[dict[str, VideoSource], VideoSource, dict[str, object], str]:
    reference, run = truth_and_run()
    videos = {id: run.read(id, 0, 24) for id in run.ids()}
    if case == "missing id":
        del videos["world_1"]
        return {"run": VideosInMemory(videos, fps=10)}, reference, {}, "run lacks 1 of 3 videos: world_1"
    if case == "extra id":
        return (
            {"run": VideosInMemory({**videos, "new": videos["world_0"]}, fps=10)},
            reference,
            {},
            "reference lacks: new",
        )
    if case == "nothing in common":
        renamed = {f"x{id}": video for id, video in videos.items()}
        return {"run": VideosInMemory(renamed, fps=10)}, reference, {}, "no video in common: xworld_0"
    if case == "length":
        videos["world_2"] = videos["world_2"][:20]
        return (
            {"run": VideosInMemory(videos, fps=10)},
            reference,
            {},
            "world_2 of run has 20 frames and world_0 of the reference 24; .* stop=20",
        )
    if case == "too short for stop":
        videos["world_2"] = videos["world_2"][:20]
        return (
            {"run": VideosInMemory(videos, fps=10)},
            reference,
            {"stop": 22},
            r"end before frame 22: world_2 of run \(20\)",
        )
    if case == "uneven truth":
        videos["world_2"] = videos["world_2"][:20]
        return (
            {"run": VideosInMemory(videos, fps=10)},
            VideosInMemory(videos, fps=10),
            {},
            "stop=20 or, in millivid evaluate, frames=12 scores as many",
        )
    if case == "size":
        videos["world_1"] = moving_discs(1, width=40)
        return {"run": VideosInMemory(videos, fps=10)}, reference, {}, "'world_1': run is 40x32, the reference 32x32"
    if case == "no runs":
        return {}, reference, {}, "no runs"
    if case == "empty reference":
        return {"run": run}, VideosInMemory({}), {}, "reference is empty"
    if case == "unknown id":
        return {"run": run}, reference, {"ids": ["world_0", "lost"]}, "reference lacks 1 of 2 videos: lost"
    assert case == "small frames"
    small, small_run = truth_and_run(height=8, width=8)
    return {"run": small_run}, small, {}, "SSIM: frames are 8x8; it needs at least 11x11"


@pytest.mark.parametrize(
    "case",
    ["missing id", "extra id", "nothing in common", "length", "too short for stop", "uneven truth", "size", "no runs",
     "empty reference", "unknown id", "small frames"],
)  # fmt: skip
def test_what_does_not_go_together_is_named(case: str) -> None:
    runs, reference, settings, message = _bad(case)
    with pytest.raises(EvaluationError, match=message):
        evaluate(runs, reference, start=8, metrics=CHEAP, progress=False, **settings)  # type: ignore[arg-type]


def test_a_part_of_the_videos_can_be_scored() -> None:
    reference, run = truth_and_run()
    only = VideosInMemory({"world_1": run.read("world_1", 0, 20)}, fps=10)
    results = evaluate({"run": only}, reference, start=8, stop=20, ids=only.ids(), metrics=CHEAP, progress=False)
    assert results.ids == ("world_1",) and results.num_frames == 12


def test_a_source_that_breaks_its_promise_is_named() -> None:
    reference, run = truth_and_run()
    floats = Transformed(run, lambda frames: frames / 255)
    with pytest.raises(EvaluationError, match=r"'world_0' of run.*float64.*expected uint8 \(16, height, width, 3\)"):
        evaluate({"run": floats}, reference, start=8, metrics=CHEAP, progress=False)


def test_missing_lpips_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: object, net: str = "alex") -> None:
        raise MissingWeights("pip install it")

    monkeypatch.setattr("millivid.eval.metrics.LPIPS.__init__", missing)
    reference, run = truth_and_run()
    results = evaluate({"run": run}, reference, start=8, progress=False)
    assert list(results.scores["run"]) == ["psnr", "ssim"]
    assert results.skipped["lpips"] == "pip install it"
    with pytest.raises(EvaluationError, match="no metric left.*pip install it"):
        evaluate({"run": run}, reference, start=8, metrics=["lpips"], progress=False)


def test_other_videos_are_shown_at_the_same_time() -> None:
    frames = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    videos = {str(v): np.broadcast_to(frames + 40 * v, (20, 4, 4, 3)).copy() for v in range(5)}
    source = VideosInMemory(videos)
    shuffled = OtherVideos(source, keep=4, seed=3)
    for v in range(5):
        read: Frames = shuffled.read(str(v), 0, 20)
        values = read[:, 0, 0, 0]
        np.testing.assert_array_equal(values % 40, np.arange(20))
        np.testing.assert_array_equal(values[:4] // 40, v)
        assert (values[4:] // 40 != v).all() and len(set(values[4:] // 40)) > 1
        pieces = np.concatenate([shuffled.read(str(v), a, b) for a, b in ((0, 3), (3, 11), (11, 20))])
        np.testing.assert_array_equal(pieces, read)
    other = OtherVideos(source, keep=4, seed=4)
    assert any((other.read(i, 4, 20) != shuffled.read(i, 4, 20)).any() for i in videos)
    with pytest.raises(EvaluationError, match="at least 2 videos"):
        OtherVideos(VideosInMemory({"0": videos["0"]}))


def test_shuffled_frames_are_the_videos_own_each_once() -> None:
    frames = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    source = VideosInMemory({str(v): np.broadcast_to(frames + 40 * v, (20, 4, 4, 3)).copy() for v in range(3)})
    shuffled = ShuffledFrames(source, keep=4, seed=3)
    orders = []
    for v in range(3):
        values = shuffled.read(str(v), 0, 20)[:, 0, 0, 0] - 40 * v
        assert values[:4].tolist() == [0, 1, 2, 3] and sorted(values) == list(range(20))
        orders.append(values.tolist())
        np.testing.assert_array_equal(shuffled.read(str(v), 3, 11)[:, 0, 0, 0] - 40 * v, values[3:11])
    assert orders[0] != orders[1] != orders[2] and orders[0] != list(range(20))
    assert ShuffledFrames(source, keep=4, seed=4).fingerprint("0") != shuffled.fingerprint("0")


def test_videos_without_their_context_are_put_behind_it() -> None:
    reference, run = truth_and_run()
    only_generated = VideosInMemory({id: run.read(id, 8, 24) for id in run.ids()}, fps=10)
    joined = AfterContext(only_generated, reference, 8)
    for first, last in ((0, 24), (3, 8), (8, 9), (6, 20)):
        np.testing.assert_array_equal(joined.read("world_1", first, last), run.read("world_1", first, last))
    assert joined.num_frames("world_1") == 24
    whole, behind = (
        evaluate({"run": source}, reference, start=8, metrics=CHEAP, progress=False) for source in (run, joined)
    )
    assert whole.scores["run"]["psnr"].curve.tolist() == behind.scores["run"]["psnr"].curve.tolist()


def test_another_frame_rate_is_refused() -> None:
    reference, run = truth_and_run()
    faster = VideosInMemory({id: run.read(id, 0, 24) for id in run.ids()}, fps=12)
    with pytest.raises(EvaluationError, match="of run has 12 frames per second, its reference 10"):
        evaluate({"run": faster}, reference, start=8, metrics=CHEAP, progress=False)
    evaluate({"run": faster}, reference, start=8, metrics=CHEAP, check_rate=False, progress=False)

    class Unknown(VideosInMemory):
        def rate(self, id: str) -> None:  # type: ignore[override]
            return None

    images = Unknown({id: run.read(id, 0, 24) for id in run.ids()})
    results = evaluate({"run": images}, images, start=8, metrics=CHEAP, progress=False)
    assert results.fps is None and results.to_dict()["fps"] is None
    evaluate({"run": images}, reference, start=8, metrics=CHEAP, progress=False)


def test_memory_is_one_batch_of_frames(tmp_path: Path) -> None:
    class Watched(VideosInMemory):
        longest = 0

        def read(self, id: str, start: int, stop: int) -> Frames:
            self.longest = max(self.longest, stop - start)
            return super().read(id, start, stop)

    video = np.zeros((100, 12, 12, 3), np.uint8)
    source = Watched({"v": video})
    evaluate(
        {"run": source}, source, start=0, horizons=horizons_from((100,)), metrics=CHEAP, batch_frames=7, progress=False
    )
    assert source.longest == 7


def test_device_is_an_argument() -> None:
    reference, run = truth_and_run(1)
    results = evaluate({"run": run}, reference, start=8, metrics=["psnr"], device=torch.device("cpu"), progress=False)
    assert results.device == "cpu"
