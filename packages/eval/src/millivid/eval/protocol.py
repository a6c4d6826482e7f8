"""What a reader needs to reproduce an evaluation, as JSON values."""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

from .evaluation import Evaluation
from .videos import VideoSource

PACKAGES = (
    "millivid-eval", "torch", "numpy", "av", "pillow", "matplotlib", "transformers", "kornia", "opencv-python-headless",
)  # fmt: skip


@functools.cache
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Versions of Python and of what the figures and pictures were made with; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def build_protocol(
    evaluation: Evaluation, sizes: Sequence[tuple[int, int]], fps: float | None, seconds: float
) -> dict[str, Any]:
    """Counts, frames, sizes, sources with their codecs, metric definitions with weights' hashes, versions, settings."""

    def described(source: VideoSource) -> dict[str, Any]:
        return {**source.describe(), "sha256": _hash(source, evaluation.ids)}

    return {
        "videos": len(evaluation.ids),
        "reference_videos": len(evaluation.reference.ids()),
        "context_frames": evaluation.start,
        "generated_frames": evaluation.num_frames,
        "sizes": [list(size) for size in sizes],
        "resize": "none: frames are compared at the size they are stored in",
        "fps": fps,
        "reference": described(evaluation.reference),
        "runs": {run: described(source) for run, source in evaluation.runs.items()},
        "intervals": "95 %, bootstrap over videos",
        "seed": evaluation.seed,
        "metrics": {metric.name: metric.describe() for metric in evaluation.metrics},
        "skipped": dict(evaluation.skipped),
        "device": str(evaluation.device),
        "seconds": round(seconds, 2),
        "versions": versions(),
        "settings": dict(evaluation.settings),
    }


def _hash(source: VideoSource, ids: Sequence[str]) -> str | None:
    """One hash over the fingerprints of a source's videos; None where it gives none."""
    prints = [(id, source.fingerprint(id)) for id in ids]
    return hashlib.sha256(repr(prints).encode()).hexdigest() if all(found for _, found in prints) else None
