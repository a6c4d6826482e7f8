"""A stopped evaluation goes on, several processes share one, and scores are never stale."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_worlds import truth_and_run
from test_eval_sets import MeanColours
from torch import Tensor

from millivid.eval import (
    Evaluation,
    EvaluationError,
    PSNRMetric,
    Results,
    Transformed,
    VideosInMemory,
    evaluate,
    horizons_from,
    score,
    summarise,
)
from millivid.eval.videos import Frames


class Counted(VideosInMemory):
    """Counts reads of frames, and breaks at one."""

    reads = 0
    breaks_at = -1

    def read(self, id: str, start: int, stop: int) -> Frames:
        if self.reads == self.breaks_at:
            raise OSError("the power is gone")
        self.reads += 1
        return super().read(id, start, stop)


def _sources(count: int = 4) -> tuple[VideosInMemory, Counted]:
    reference, run = truth_and_run(count)
    return reference, Counted({id: run.read(id, 0, 24) for id in run.ids()}, fps=10)


def _evaluation(run: VideosInMemory, reference: VideosInMemory, scores: Path | None, **settings: Any) -> Evaluation:
    settings = {"metrics": ["psnr", MeanColours()], **settings}
    return Evaluation.of({"run": run}, reference, start=8, horizons=horizons_from((16,)), scores=scores, **settings)


def _evaluate(run: VideosInMemory, reference: VideosInMemory, scores: Path | None, **settings: Any) -> Results:
    return summarise(_evaluation(run, reference, scores, **settings), progress=False)


def test_a_stopped_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    reference, run = _sources()
    run.breaks_at = 2
    with pytest.raises(OSError, match="power"):
        _evaluate(run, reference, tmp_path)
    run.breaks_at, run.reads = -1, 0
    resumed = _evaluate(run, reference, tmp_path)
    assert run.reads == 2
    assert resumed.to_dict()["runs"] == _evaluate(run, reference, None).to_dict()["runs"]
    run.reads = 0
    _evaluate(run, reference, tmp_path)
    assert run.reads == 0
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".npz"]


def test_what_changed_is_computed_again(tmp_path: Path) -> None:
    reference, run = _sources()
    _evaluate(run, reference, tmp_path)
    other = Counted(
        {**{id: run.read(id, 0, 24) for id in run.ids()}, "world_1": np.zeros((24, 32, 32, 3), np.uint8)}, fps=10
    )
    assert _evaluate(other, reference, tmp_path).scores["run"]["psnr"].frames[1].mean() < 20
    assert other.reads == 1
    run.reads = 0
    _evaluate(run, reference, tmp_path, stop=20)
    assert run.reads == 4


def test_a_metric_more_computes_only_that_metric(tmp_path: Path) -> None:
    class Slow(PSNRMetric):
        name, measured = "slow", 0

        def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
            Slow.measured += len(generated)
            return super().measure(generated, reference)

        def describe(self) -> dict[str, Any]:
            return {**super().describe(), "definition": "slow"}

    reference, run = _sources()
    _evaluate(run, reference, tmp_path, metrics=[Slow()])
    assert Slow.measured == 4 * 16
    _evaluate(run, reference, tmp_path, metrics=[Slow(), "psnr", MeanColours()])
    assert Slow.measured == 4 * 16


def test_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    reference, run = _sources()
    whole = _evaluate(run, reference, tmp_path)
    file = sorted(tmp_path.iterdir())[0]
    file.write_bytes(file.read_bytes()[:100])
    again = _evaluate(run, reference, tmp_path)
    assert again.to_dict()["runs"] == whole.to_dict()["runs"]


def test_processes_share_the_work_and_finish_each_others(tmp_path: Path) -> None:
    reference, run = _sources(5)
    alone = _evaluate(run, reference, None)
    run.reads = 0
    # Its own and, since the first never began, the others'.
    score(_evaluation(run, reference, tmp_path), share=(1, 2), progress=False)
    assert run.reads == 5
    first = _evaluation(run, reference, tmp_path)
    score(first, share=(0, 2), progress=False)
    assert run.reads == 5
    assert summarise(first, progress=False).to_dict()["runs"] == alone.to_dict()["runs"]
    with pytest.raises(EvaluationError, match="0 <= rank < count"):
        score(first, share=(2, 2), progress=False)


def test_what_a_killed_process_left_is_swept_up_later(tmp_path: Path) -> None:
    reference, run = _sources()
    old, new = tmp_path / ".writing-1-a.npz", tmp_path / ".writing-2-b.npz"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    _evaluate(run, reference, tmp_path)
    assert not old.exists() and new.exists()  # the second may be another process's at work


def test_what_cannot_be_told_apart_is_not_stored(tmp_path: Path) -> None:
    reference, run = _sources()
    for shade in (10, 20):
        darker = Transformed(run, lambda frames, shade=shade: frames // shade)
        results = evaluate({"run": darker}, reference, start=8, metrics=["psnr"], scores=tmp_path, progress=False)
        assert not list(tmp_path.iterdir())
        assert results.protocol["runs"]["run"]["sha256"] is None and results.protocol["reference"]["sha256"]
    named = Transformed(run, lambda frames: frames // 10, identity="a tenth")
    evaluate({"run": named}, reference, start=8, metrics=["psnr"], scores=tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 4
