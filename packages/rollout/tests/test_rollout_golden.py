"""Every number in tests/golden/schedules.json (or $MILLIVID_GOLDEN's), computed with the paper authors' released code."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millivid.rollout import Role, Schedule, ScheduleError, make_schedule, plan

GOLDEN = Path(os.environ.get("MILLIVID_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
EVERY_ENTRY = [
    entry for path in sorted(GOLDEN.glob("schedules*.json")) for entry in json.loads(path.read_text())["entries"]
]
ENTRIES = [entry for entry in EVERY_ENTRY if entry["status"] == "ok"]
NAMES = {"baseline": "full_resolution"}
SETTINGS = {
    ("millivid", "num_frames_per_level"): "windows",
    ("millivid", "extra_budget"): "history",
    ("framepack", "num_denoised_frames"): "num_targets",
    ("framepack", "num_context_frames"): "context",
    ("framepack_mirrored", "num_denoised_frames"): "targets",
    ("framepack_mirrored", "num_context_frames"): "context",
    ("upscale", "base_num_frames"): "base",
    ("rollout_upscale", "base_num_frames"): "base",
}


def our_schedule(entry: dict[str, Any]) -> Schedule:
    strategy = entry["strategy"]
    theirs = strategy["name"]
    settings = {SETTINGS.get((theirs, key), key): value for key, value in strategy.items() if key != "name"}
    return make_schedule(
        NAMES.get(theirs, theirs), **settings, **({"pads": True} if entry["requires_attention_masking"] else {})
    )


def spans(row: np.ndarray) -> list[list[int]]:
    return np.flatnonzero(np.diff(np.concatenate(([0], row, [0])))).reshape(-1, 2).tolist()


@pytest.fixture(params=ENTRIES, ids=lambda entry: entry["id"])
def entry(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def test_what_the_authors_code_fails_on_is_refused() -> None:
    failing = [entry for entry in EVERY_ENTRY if entry not in ENTRIES]
    if not failing:
        pytest.skip("no fixture records a schedule that the authors' code fails on")
    for entry in failing:
        with pytest.raises(ScheduleError):
            our_schedule({"requires_attention_masking": False, **entry}).chunk(tokens_of(entry))


def test_all_entries_are_there() -> None:
    assert len(ENTRIES) == 14 or "MILLIVID_GOLDEN" in os.environ


def tokens_of(entry: dict[str, Any]) -> tuple[int, ...]:
    return tuple(entry["base_num_tokens"] // 4**level for level in range(entry["num_levels"]))


def test_chunk(entry: dict[str, Any]) -> None:
    schedule = our_schedule(entry)
    tokens = tokens_of(entry)
    chunk = schedule.chunk(tokens)
    assert schedule.num_levels == chunk.num_levels == entry["num_levels"]
    assert chunk.tokens_per_level == tokens
    assert chunk.num_frames == entry["chunk_num_frames"]
    assert chunk.target_start == entry["chunk_denoising_start"]
    assert chunk.num_clipped_frames == entry["num_clipped_frames"]
    assert chunk.num_tokens == entry["max_num_tokens"]
    assert chunk.num_tokens_per_step.tolist() == entry["num_tokens"]
    assert chunk.pads == entry["requires_attention_masking"]
    assert chunk.num_context_frames == max(0, chunk.target_start - entry["first_frame_seen"])
    assert len(chunk.steps) == entry["num_steps"]
    np.testing.assert_allclose(np.cumsum(chunk.step_probabilities), entry["cdf"], rtol=1e-12)


def test_steps(entry: dict[str, Any]) -> None:
    chunk = our_schedule(entry).chunk(tokens_of(entry))
    for step, golden in zip(chunk.steps, entry["steps"], strict=True):
        assert [spans(row == Role.CONTEXT) for row in step.roles] == golden["context"]
        assert [spans(row == Role.TARGET) for row in step.roles] == golden["denoised"]
        assert hashlib.sha256(step.roles.astype("<i4").tobytes()).hexdigest()[:16] == golden["sha256"]
        assert step.group == (golden["sampling_group"] or 0)
    written = np.sum([step.roles == Role.TARGET for step in chunk.steps], axis=0)[:, chunk.target_start :]
    assert [[row.min(), row.max()] for row in written] == entry["denoised_count_per_level"]
    assert chunk.rewrites == (written.max() > 1)


def test_plans(entry: dict[str, Any]) -> None:
    schedule, tokens = our_schedule(entry), tokens_of(entry)
    for golden in entry["generate"]:
        start, ends = golden["start"], {key: golden[key] for key in ("end", "limit") if key in golden}
        if "note" in golden:  # the authors' code fails on a negative frame here
            with pytest.raises(ScheduleError, match=f"needs {entry['chunk_denoising_start']}; start at frame"):
                plan(schedule, tokens, start, **ends)
            continue
        ours = plan(schedule, tokens, start, **ends)
        assert list(ours.chunk_starts) == golden["chunk_starts"]
        assert (ours.start, ours.video_end) == (start, golden["video_end"])
        assert ours.buffer_end == golden["buffer_end"]
        assert len(ours) == golden["num_rollout_steps"]
        if "sequence" in golden:
            assert [[planned.step_index, planned.chunk_start] for planned in ours] == golden["sequence"]
