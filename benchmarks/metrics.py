"""Time per 1,000 frames of every metric, and how far it is from another implementation where there is one.

    python benchmarks/metrics.py [--threads 2] [--frames 32] [--rounds 3] [--out benchmarks/results/metrics-x.json]

Frames of the voxel world against noisy ones, 64x64 and 256x256, in batches of 16. Time is that of `measure` or `features`, the
best of the rounds; reading videos is not in it. Opponents, in the same run and on the same frames: torchmetrics (PSNR, SSIM)
and scikit-image (SSIM); a ratio is opponent / ours in time, and the difference is the largest of any frame. Metrics whose
weights are not here are said to be so. Prints a Markdown table, and writes the figures as JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from torch import Tensor

from millivid.data_gen import make_world
from millivid.eval import METRICS, EvaluationError, FrameMetric, MissingWeights, SetMetric
from millivid.eval.metrics import Metric

BATCH = 16
SIZES = (64, 256)
Opponent = Callable[[Tensor, Tensor], Tensor]
"""A value per frame."""


def make_frames(size: int, count: int) -> tuple[Tensor, Tensor]:
    """Generated and true frames, (frame, 3, size, size) in [0, 1]."""
    world = make_world("voxel", size=(size, size))
    observations = [world.reset(0), *(world.step(index // 3 % 3) for index in range(count - 1))]
    true = torch.from_numpy(np.stack([o.frame for o in observations])).permute(0, 3, 1, 2).float() / 255
    noise = 0.1 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    return (true + noise).clamp(0, 1).contiguous(), true.contiguous()


def torchmetrics_psnr(generated: Tensor, reference: Tensor) -> Tensor:
    """PSNR of each frame by torchmetrics."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(generated, reference, data_range=1.0, dim=(1, 2, 3), reduction="none")


def torchmetrics_ssim(generated: Tensor, reference: Tensor) -> Tensor:
    """SSIM of each frame by torchmetrics, over the pixels that ours goes over."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    # Without the borders, which it makes up by reflection.
    _, pixels = structural_similarity_index_measure(
        generated, reference, data_range=1.0, reduction="none", return_full_image=True
    )
    inside: Tensor = pixels[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))
    return inside


def skimage_ssim(generated: Tensor, reference: Tensor) -> Tensor:
    """SSIM of each frame by scikit-image."""
    from skimage.metrics import structural_similarity

    return torch.tensor(
        [
            structural_similarity(
                a.numpy(),
                b.numpy(),
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                channel_axis=0,
                data_range=1,
            )
            for a, b in zip(generated, reference, strict=True)
        ]
    )


OPPONENTS: dict[str, dict[str, Opponent]] = {
    "psnr": {"torchmetrics": torchmetrics_psnr},
    "ssim": {"torchmetrics": torchmetrics_ssim, "scikit-image": skimage_ssim},
}


@dataclass(frozen=True)
class Timed:
    """Seconds for all frames, and a value per frame where there is one."""

    seconds: float
    values: Tensor | None


def time_metric(metric: Metric, generated: Tensor, reference: Tensor) -> Timed:
    """One round of a metric of ours."""
    began = time.perf_counter()
    with torch.no_grad():
        parts = [
            _measure(metric, generated[i : i + BATCH], reference[i : i + BATCH])
            for i in range(0, len(generated), BATCH)
        ]
    seconds = time.perf_counter() - began
    if not isinstance(metric, FrameMetric):
        return Timed(seconds, None)
    return Timed(seconds, torch.from_numpy(metric.figure(torch.cat(parts).double().numpy())))


def _measure(metric: Metric, generated: Tensor, reference: Tensor) -> Tensor:
    """A batch; of a metric of sets, the features of both sides."""
    if isinstance(metric, SetMetric):
        return torch.cat((metric.features(generated), metric.features(reference)))
    assert isinstance(metric, FrameMetric)
    return metric.measure(generated, reference)


def time_opponent(opponent: Opponent, generated: Tensor, reference: Tensor) -> Timed:
    """One round of another implementation."""
    began = time.perf_counter()
    parts = [opponent(generated[i : i + BATCH], reference[i : i + BATCH]) for i in range(0, len(generated), BATCH)]
    return Timed(time.perf_counter() - began, torch.cat(parts).double())


def run(sizes: tuple[int, ...], frames: int, rounds: int) -> list[dict[str, Any]]:
    """All metrics that are here, on frames of all sizes."""
    results = []
    for name, metric_class in METRICS.items():
        for size in sizes:
            generated, reference = make_frames(size, frames)
            result: dict[str, Any] = {"metric": name, "size": size, "frames": frames, "opponents": {}}
            try:
                time_metric(metric_class(), generated[:BATCH], reference[:BATCH])  # the first time is slower
                ours = [time_metric(metric_class(), generated, reference) for _ in range(rounds)]
            except (MissingWeights, EvaluationError) as error:
                if size == sizes[0]:
                    print(f"{name} is not here: {error}", file=sys.stderr)
                results.append({**result, "missing": True})
                continue
            best = min(timed.seconds for timed in ours)
            result["seconds_per_1000_frames"] = 1000 * best / frames
            for opponent_name, opponent in OPPONENTS.get(name, {}).items():
                try:
                    theirs = [time_opponent(opponent, generated, reference) for _ in range(rounds)]
                except ImportError as error:
                    result["opponents"][opponent_name] = {"missing": str(error)}
                    continue
                found, own = theirs[0].values, ours[0].values
                assert found is not None and own is not None
                result["opponents"][opponent_name] = {
                    "ratio": min(timed.seconds for timed in theirs) / best,
                    "largest_difference": float((found - own).abs().max()),
                }
            results.append(result)
    return results


def table(results: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table, of the metrics that are here."""
    lines = [
        "| metric | frames | s per 1,000 | against | its time / ours | largest difference |",
        "| --- | --- | ---: | --- | ---: | ---: |",
    ]
    for result in results:
        start = f"| {result['metric']} | {result['size']}x{result['size']} |"
        if "missing" in result:
            continue
        seconds = f"{result['seconds_per_1000_frames']:.2g}"
        seconds = f"{float(seconds):,.0f}" if float(seconds) >= 10 else seconds
        opponents = {name: row for name, row in result["opponents"].items() if "ratio" in row} or {"": None}
        for name, row in opponents.items():
            cells = "| |" if row is None else f"{row['ratio']:.2g} | {row['largest_difference']:.0e} |"
            lines.append(f"{start} {seconds} | {name} | {cells}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = run(SIZES, arguments.frames, arguments.rounds)
    print(table(results))
    if arguments.out:
        content = {"machine": describe_machine("cpu"), "results": results}
        arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
