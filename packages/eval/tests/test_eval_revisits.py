"""When a view was last seen, and figures of memory, on cases with a known answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millivid.eval import EvaluationError, Revisits, VideosInMemory, evaluate, horizons_from, last_seen
from millivid.eval.revisits import gap_bins


def turning(yaws: list[float], step: float = 0.0) -> np.ndarray:
    """Poses that look in these directions, each `step` further along x."""
    poses = np.zeros((len(yaws), 5))
    poses[:, 3], poses[:, 0] = yaws, step * np.arange(len(yaws))
    return poses


def test_the_worked_example_of_the_documentation() -> None:
    # A camera that stands and turns by 30 degrees a frame; frames 0 to 3 are given.
    #       frame     0   1   2   3 |  4   5   6   7   8   9  10
    poses = turning([0, 30, 60, 60, 60, 30, 0, -30, 0, 30, 60])
    seen = last_seen(poses, 4, Revisits(distance=1, angle=15))
    # 4 still stays where frame 3 was; 5 was last seen at 1, 6 at 0; -30 never; 8 at 6, 9 at 5, 10 at 4.
    assert seen.of("continued").tolist() == [True, False, False, False, False, False, False]
    assert seen.of("recall").tolist() == [False, True, True, False, True, True, True]
    assert seen.of("invention").tolist() == [False, False, False, True, False, False, False]
    assert seen.gap.tolist() == [0, 4, 6, 0, 2, 4, 6]


def test_walking_on_is_never_a_revisit() -> None:
    seen = last_seen(turning([0.0] * 12, step=0.4), 6, Revisits(distance=1, angle=15))
    # The first frames beyond the context are still within 1 of its last one; those further on show something new.
    assert seen.of("continued").tolist() == [True, True, False, False, False, False]
    assert not seen.of("recall").any() and seen.of("invention").sum() == 4 and not seen.gap.any()


def test_a_view_of_the_generated_part_is_not_in_the_context() -> None:
    seen = last_seen(turning([0, 0, 90, 180, 90]), 2, Revisits(angle=15))
    assert seen.of("invention").all()
    assert seen.gap.tolist() == [0, 0, 2]


def test_yaw_goes_round_and_pitch_counts() -> None:
    revisits = Revisits(distance=0, angle=15)
    poses = np.array([[0, 0, 0, 355, 0], [0, 0, 0, 5, 0], [0, 0, 0, 5, 30], [0, 0, 0.5, 5, 0]], float)
    assert revisits.same_view(poses, poses)[0].tolist() == [True, True, False, False]
    assert Revisits(distance=0, angle=0).same_view(poses, poses).tolist() == np.eye(4, dtype=bool).tolist()


@given(st.lists(st.integers(0, 11), min_size=3, max_size=40), st.data())
def test_any_walk_is_as_the_definition_says(steps: list[int], data: st.DataObject) -> None:
    context = data.draw(st.integers(1, len(steps) - 1))
    seen = last_seen(turning([30.0 * step for step in steps]), context, Revisits(distance=1, angle=31))
    for row, now in enumerate(range(context, len(steps))):
        alike = [min((steps[s] - steps[now]) % 12, (steps[now] - steps[s]) % 12) <= 1 for s in range(now)]
        stay = now
        while stay > 0 and alike[stay - 1]:
            stay -= 1
        before = [s for s in range(stay) if alike[s]]
        assert seen.gap[row] == (now - before[-1] if before else 0)
        kinds = [seen.of(kind)[row] for kind in ("continued", "recall", "invention")]
        assert kinds == [stay < context, stay >= context and any(alike[:context]), not any(alike[:context])]


def test_bins_double() -> None:
    assert gap_bins(1) == ((1, 16),)
    assert gap_bins(100) == ((1, 16), (17, 32), (33, 64), (65, 128))


@pytest.mark.parametrize(
    ("poses", "context", "message"),
    [
        (np.zeros((4, 3)), 1, r"shape \(4, 3\); expected finite"),
        (np.full((4, 5), np.nan), 1, "hold NaN"),
        (np.zeros((4, 5)), 4, "context is 4 of 4 frames"),
    ],
)
def test_poses_that_cannot_be_used_are_named(poses: np.ndarray, context: int, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        last_seen(poses, context, Revisits())


@pytest.mark.parametrize("settings", [{"distance": -1}, {"angle": 181}, {"distance": float("nan")}])
def test_impossible_tolerances_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(EvaluationError, match="distance must be at least 0, angle in 0 to 180"):
        Revisits(**settings)


YAWS = [0, 90, 180, 180, 270, 0, 90, 180, 270]
CONTEXT = 3
ERRORS = [51, 102, 51, 0, 51, 102]  # of the generated frames, in 255ths


class Halves:
    """The left half of a frame shows surface 10 + direction, the right half surface 20 + direction; the top row the sky."""

    def surfaces(self, id: str, start: int, stop: int) -> np.ndarray:
        ids = np.empty((stop - start, 16, 16), np.int64)
        for row, yaw in enumerate(YAWS[start:stop]):
            ids[row, :, :8], ids[row, :, 8:] = 10 + yaw // 90, 20 + yaw // 90
            if yaw == 270:
                ids[row, :, 8:] = 20  # in frames that look back, the right half is what frame 0 showed there
        ids[:, 0] = -1
        return ids

    def describe(self) -> dict[str, str]:
        return {"kind": "halves"}


def _memory(surfaces: Halves | None = None, count: int = 2):  # type: ignore[no-untyped-def]
    truth = {str(v): np.full((9, 16, 16, 3), 100, np.uint8) for v in range(count)}
    made = {id: video.copy() for id, video in truth.items()}
    for video in made.values():
        video[CONTEXT:] += np.array(ERRORS, np.uint8).reshape(-1, 1, 1, 1)
        video[CONTEXT + 1, :, 8:] = 100  # in frame 4 the right half is right
    reference = VideosInMemory(truth, poses=dict.fromkeys(truth, turning([float(yaw) for yaw in YAWS])))
    return evaluate(
        {"run": VideosInMemory(made)}, reference, start=CONTEXT, horizons=horizons_from((3, 6)), metrics=["psnr"],
        revisits=Revisits(distance=1, angle=15), surfaces=surfaces, progress=False,
    ).memory  # fmt: skip


def decibels(*squares: float) -> float:
    return float(-10 * np.log10(np.mean(squares)))


def test_recall_and_invention_are_told_apart() -> None:
    memory = _memory()
    # Frames 5, 6, 7 show what the context showed, 3 goes on from it; 4 and 8 look where no context frame looked, 8 where 4 did.
    continued, recall, invention = (
        memory.find(kind).figures["run"]["psnr"] for kind in ("continued", "recall", "invention")
    )
    assert continued.value == pytest.approx(decibels(0.04), rel=1e-5)
    assert recall.value == pytest.approx(decibels(0.04, 0.0, 0.04), rel=1e-5)
    assert invention.value == pytest.approx(decibels(0.08, 0.16), rel=1e-5)
    assert (continued.items, recall.items, invention.items, recall.videos) == (2, 6, 4, 2)
    assert memory.gaps == ((1, 16), (0, 0))
    never = memory.find("invention", gap=(0, 0)).figures["run"]["psnr"]
    assert (never.value, never.items) == (pytest.approx(decibels(0.08), rel=1e-5), 2)
    again = memory.find("invention", gap=(1, 16)).figures["run"]["psnr"]
    assert again.value == pytest.approx(decibels(0.16), rel=1e-5)
    assert memory.find("recall", horizon="long").figures["run"]["psnr"].items == 4
    assert memory.find("recall", gap=(0, 0)) is None
    described = {(g["kind"], g["horizon"], str(g["gap"])) for g in memory.to_dict()["groups"]}
    assert ("invention", None, "never") in described and ("recall", None, "[1, 16]") in described
    assert memory.to_dict()["frames"]["0"] == {"last_seen": [0, 0, 5, 5, 4, 4], "kind": "cirrri"}


def test_pixels_go_by_the_surface_they_show() -> None:
    memory = _memory(Halves())
    known, new = (memory.find(kind).figures["run"]["psnr"] for kind in ("recalled pixels", "invented pixels"))
    # 15 rows below the sky; frames 3, 5, 6, 7 whole and the right halves of 4 and 8 show known surfaces.
    assert known.items == 2 * 15 * (4 * 16 + 2 * 8) and new.items == 2 * 15 * 2 * 8
    assert known.value == pytest.approx(decibels(0.04, 0.04, 0.04, 0.04, 0, 0, 0.04, 0.04, 0, 0.16), rel=1e-5)
    assert new.value == pytest.approx(decibels(0.16, 0.16), rel=1e-5)


def test_an_error_that_grows_with_time_alone_is_no_memory() -> None:
    # The context looks to 0, 30, ... 180. Then the camera stays for 8 frames, and looks to and fro: to 0, where the context
    # looked, and to 270, where it did not. The error grows by a grey level a frame, whatever there is to see.
    yaws = [30.0 * frame for frame in range(7)] + [180.0] * 8 + [0.0, 270.0] * 24
    context, truth = 7, np.full((63, 16, 16, 3), 100, np.uint8)
    grown = np.maximum(np.arange(len(yaws)) - context + 1, 0).astype(np.uint8).reshape(-1, 1, 1, 1)
    reference = VideosInMemory({"a": truth}, poses={"a": turning(yaws)})
    memory = evaluate(
        {"run": VideosInMemory({"a": truth + grown})}, reference, start=context, horizons=horizons_from((56,)),
        metrics=["psnr"], revisits=Revisits(angle=10), progress=False,
    ).memory  # fmt: skip
    assert memory is not None
    found = {g.kind: g.figures["run"]["psnr"] for g in memory.groups if g.horizon is None and g.gap is None}
    assert {kind: figure.items for kind, figure in found.items()} == {"continued": 8, "recall": 24, "invention": 24}
    assert found["recall"].value == pytest.approx(found["invention"].value, abs=0.3)
    assert found["continued"].value > found["recall"].value + 10


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (turning([0.0] * 5), "video '1' has 5 poses for 9 frames"),
        (np.full((9, 5), np.nan), "video '1': poses have shape .* and hold NaN"),
    ],
)
def test_poses_are_checked_before_anything_is_scored(poses: np.ndarray, message: str) -> None:
    truth = {str(v): np.full((9, 16, 16, 3), 100, np.uint8) for v in range(2)}
    reference = VideosInMemory(truth, poses={"0": turning([0.0] * 9), "1": poses})

    class Unread(VideosInMemory):
        def read(self, id: str, start: int, stop: int) -> np.ndarray:
            raise AssertionError("nothing was to be read")

    with pytest.raises(EvaluationError, match=message):
        evaluate({"run": Unread(truth)}, reference, start=3, metrics=["psnr"], progress=False)


def test_without_poses_or_context_the_reason_is_given() -> None:
    frames = VideosInMemory({"a": np.zeros((4, 16, 16, 3), np.uint8)})
    for start, reason in ((1, "says nothing of the camera's poses"), (0, "no context to remember")):
        results = evaluate({"run": frames}, frames, start=start, metrics=["psnr"], progress=False)
        assert results.memory is None and reason in results.skipped["memory"]
