"""The metrics by name."""

from collections.abc import Iterable

from . import metrics
from .errors import EvaluationError, MissingWeights
from .metrics import Metric, SetMetric

METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        metrics.PSNRMetric, metrics.SSIMMetric, metrics.LPIPSMetric, metrics.VGGLPIPSMetric, metrics.DINOv2Metric,
        metrics.SuperPointMatchesMetric, metrics.SIFTMatchesMetric, metrics.FVDMetric, metrics.FIDMetric,
    )
}  # fmt: skip
DEFAULT_METRICS = ("psnr", "ssim", "lpips")
PAPER_METRICS = ("psnr", "lpips", "ssim", "dinov2", "matches", "fvd", "fid")
"""The columns of the paper's Table 1."""


def build_metrics(
    wanted: Iterable[str | Metric], *, videos: int, frames: int
) -> tuple[tuple[Metric, ...], dict[str, str]]:
    """Metric objects for names (objects pass through), and why each missing one was skipped.

    Skipped are a *named* metric whose weights or library are not installed, and one of sets that would have fewer than two
    items in `videos` videos of `frames` frames. Raises EvaluationError for a name that is not known or comes twice, or when
    no metric is left.
    """
    built: list[Metric] = []
    skipped: dict[str, str] = {}
    for metric in wanted:
        if not isinstance(metric, str):
            built.append(metric)
        elif metric not in METRICS:
            raise EvaluationError(f"metric {metric!r} is not known; these are: {', '.join(METRICS)}")
        else:
            try:
                built.append(METRICS[metric]())
            except MissingWeights as error:
                skipped[metric] = str(error)
    names = [metric.name for metric in built]
    if len(set(names)) < len(names):
        raise EvaluationError(f"metrics {names} must have different names")
    for metric in list(built):
        if isinstance(metric, SetMetric) and (items := videos * (frames // metric.window)) < 2:
            built.remove(metric)
            skipped[metric.name] = (
                f"{metric.label} compares sets of items of {metric.window} frames and needs at least 2; {videos} videos of "
                f"{frames} generated frames hold {items}"
            )
    if not built:
        raise EvaluationError(
            f"no metric left to compute: {'; '.join(skipped.values())}" if skipped else "no metric was asked for"
        )
    return tuple(built), skipped
