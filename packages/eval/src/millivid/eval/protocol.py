"""What a reader needs to reproduce an evaluation, as JSON values."""

import functools
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

from .results import Results
from .videos import VideoSource, describe_source

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
    results: Results, runs: Mapping[str, VideoSource], reference: VideoSource, extras: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts, frames, sizes, sources with their codecs, metric definitions with weights' hashes, versions, settings."""
    return {
        "videos": len(results.ids),
        "reference_videos": results.reference_videos,
        "context_frames": results.start,
        "generated_frames": results.num_frames,
        "sizes": [list(size) for size in results.sizes],
        "resize": "none: frames are compared at the size they are stored in",
        "fps": results.fps,
        "reference": {**describe_source(reference), "sha256": results.reference_hash},
        "runs": {run: {**describe_source(source), "sha256": results.hashes.get(run)} for run, source in runs.items()},
        "intervals": "95 %, bootstrap over videos",
        "seed": results.seed,
        "metrics": {metric.name: metric.describe() for metric in results.metrics},
        "skipped": dict(results.skipped),
        "device": results.device,
        "seconds": round(results.seconds, 2),
        "versions": versions(),
        "settings": dict(extras),
    }
