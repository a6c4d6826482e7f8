"""Distances between sets are what their formulas say, and say how far they can be trusted."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from millivid.eval import EvaluationError, SetMetric, VideosInMemory, evaluate, horizons_from
from millivid.eval.sets import _discrepancy, _kernel_terms, frechet_distance, set_figure


def _features(items: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(items, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("items", [6, 200])
def test_frechet_distance_is_the_formula_with_a_matrix_root(items: int) -> None:
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed")
    x, y = _features(items, 8), _features(items + 3, 8, 1) @ torch.diag(torch.arange(1.0, 9, dtype=torch.float64)) + 1
    (mean_x, cov_x), (mean_y, cov_y) = ((v.mean(0).numpy(), np.cov(v.numpy(), rowvar=False)) for v in (x, y))
    root = linalg.sqrtm(cov_x @ cov_y).real
    expected = ((mean_x - mean_y) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_known_gaussians() -> None:
    # Moved by (3, 4) and stretched by 2 along the first axis: 25 + (2 s - s)^2 with s^2 that axis's variance.
    x = _features(50, 2)
    y = x * torch.tensor([2.0, 1.0]) + torch.tensor([3.0, 4.0])
    mean = x.mean(0)
    y = y - (y.mean(0) - mean) + torch.tensor([3.0, 4.0])
    x = (x - mean) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T)).T)  # identity covariance
    y = x * torch.tensor([2.0, 1.0]) + torch.tensor([3.0, 4.0])
    assert frechet_distance(x, y) == pytest.approx(25 + 1, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_weights_count_an_item_repeatedly() -> None:
    x, y = _features(12, 5), _features(9, 5, 1)
    times = torch.tensor([0, 1, 2, 3, 1, 1, 0, 0, 1, 1, 4, 1])
    repeated = torch.repeat_interleave(x, times, dim=0)
    assert frechet_distance(x, y, times) == pytest.approx(frechet_distance(repeated, y), rel=1e-9)
    with pytest.raises(EvaluationError, match="at least 2 items in each set; got 1"):
        frechet_distance(x[:1], y)


@pytest.mark.parametrize("draw", [(1, 1, 1, 1), (0, 2, 1, 1), (3, 0, 1, 0)])
def test_the_discrepancy_is_the_sum_over_pairs_of_different_videos(draw: tuple[int, ...]) -> None:
    x, y = [_features(n, 4, n) for n in (3, 1, 2, 2)], [_features(n, 4, 10 + n) + 0.5 for n in (2, 2, 3, 1)]
    copies = np.repeat(np.arange(4), draw)

    def mean(first: list[Tensor], second: list[Tensor]) -> float:
        pairs = [
            float((p @ q / 4 + 1) ** 3) for v in copies for w in copies if v != w for p in first[v] for q in second[w]
        ]
        return float(np.mean(pairs))

    expected = mean(x, x) + mean(y, y) - 2 * mean(x, y)
    assert _discrepancy(_kernel_terms(x, y), np.array(draw)) == pytest.approx(expected, rel=1e-9)


def test_a_figure_holds_both_distances() -> None:
    x, y = [_features(n, 4, n) for n in (3, 1, 2)], [_features(n, 4, 10 + n) + 0.5 for n in (2, 2, 3)]
    figure = set_figure(x, y)
    assert figure.mmd.value == pytest.approx(_discrepancy(_kernel_terms(x, y), np.ones(3)), rel=1e-9)
    assert figure.value == pytest.approx(frechet_distance(torch.cat(x), torch.cat(y)), rel=1e-12)
    assert (figure.videos, figure.items, figure.dim, figure.enough) == (3, 6, 4, True)


@pytest.mark.parametrize(("shift", "widest"), [(0.0, 2.5), (0.6, 1.5)])
def test_the_discrepancy_is_unbiased_and_its_interval_fits(shift: float, widest: float) -> None:
    # Videos with a look of their own, generated ones much like their true ones. Where both sets are alike the estimate
    # is degenerate, and its bootstrap is known to be too wide.
    values, half_widths = [], []
    for seed in range(60):
        looks = _features(16, 3, 1000 + seed)
        x, y = (
            [side * shift + look + 0.3 * _features(5, 3, 9999 * side + 100 * seed + v) for v, look in enumerate(looks)]
            for side in (0, 1)
        )
        figure = set_figure(x, y, replicates=60)
        values.append(figure.mmd.value)
        half_widths.append((figure.mmd.high - figure.mmd.low) / 2)
    deviation = np.std(values, ddof=1)
    if not shift:
        assert abs(np.mean(values)) < 3 * deviation / np.sqrt(len(values))
    assert 0.65 < np.median(half_widths) / (1.96 * deviation) < widest


def test_many_items_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, weights = _features(60, 5).float(), _features(45, 5, 1).float() + 1, torch.arange(60) % 3
    whole = frechet_distance(x, y, weights)
    monkeypatch.setattr("millivid.eval.sets.CHUNK", 7)
    assert frechet_distance(x, y, weights) == pytest.approx(whole, rel=1e-9)


def test_intervals_widen_with_fewer_videos() -> None:
    many = [(_features(4, 3, s), _features(4, 3, 100 + s) + 1) for s in range(64)]
    widths = []
    for count in (8, 64):
        figure = set_figure(*zip(*many[:count], strict=True))
        widths.append(figure.high - figure.low)
    assert widths[1] < 0.6 * widths[0]


def test_too_little_is_undefined_and_said() -> None:
    one = set_figure([_features(1, 3)], [_features(1, 3, 1)])
    assert math.isnan(one.value) and one.to_dict()["value"] is None
    video = set_figure([_features(5, 3)], [_features(5, 3, 1)])
    assert video.value > 0 and math.isnan(video.low) and math.isnan(video.mmd.value)
    assert not set_figure([_features(3, 3)], [_features(3, 3)]).enough


class MeanColours(SetMetric):
    """Mean colours of both halves of a window's frames: 6 numbers that a test can follow."""

    name, label, window, dim, definition = "colours", "Colours", 4, 6, "mean colours"

    def features(self, frames: Tensor) -> Tensor:
        return frames.reshape(-1, 2, 2, 3, frames[0, 0].numel()).mean(dim=(2, 4)).reshape(-1, 6)


def _videos(shift: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {str(v): rng.integers(0, 200, (23, 6, 6, 3)).astype(np.uint8) + np.uint8(shift) for v in range(3)}


def test_evaluate_scores_sets_by_horizon() -> None:
    reference, run = VideosInMemory(_videos()), VideosInMemory(_videos(20))
    results = evaluate(
        {"run": run, "truth": reference}, reference, start=3, horizons=horizons_from((8, 20)), metrics=[MeanColours(), "psnr"],
        batch_frames=6, progress=False,
    )  # fmt: skip
    figures = results.scores["run"]["colours"].horizons
    assert {name: figure.items for name, figure in figures.items()} == {"short": 6, "long": 9}
    assert figures["long"].value == pytest.approx(6 * (20 / 255) ** 2, rel=1e-4)
    assert results.scores["truth"]["colours"].horizons["long"].value == pytest.approx(0, abs=1e-9)
    assert results.figure("run", "colours", "short") is figures["short"]
    described = results.to_dict()["runs"]["run"]["colours"]["horizons"]["short"]
    assert described["items"] == 6 and described["dimensions"] == 6 and described["enough_items"] is False


def test_a_set_metric_without_items_is_skipped_with_the_reason() -> None:
    source = VideosInMemory({"a": np.zeros((6, 12, 12, 3), np.uint8)})
    results = evaluate({"run": source}, source, start=0, metrics=["psnr", MeanColours()], progress=False)
    assert "needs at least 2; 1 videos of 6 generated frames hold 1" in results.skipped["colours"]
