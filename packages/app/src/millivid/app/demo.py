"""The demo: walk on from held-out videos of generated worlds, and show what was remembered."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from millivid.app.evaluate import evaluate_runs
from millivid.app.evaluate_config import EvaluateConfig
from millivid.app.generate import GenerateConfig, generate_videos
from millivid.app.reproduce import CONTEXT, WORLD
from millivid.command import available_cores, run_beside
from millivid.data_gen import RecordConfig, record
from millivid.diffusion.train import VIDEO_MODEL_FILE
from millivid.eval import check_report_folder

RUNS = ("millivid", "framepack", "full_resolution")
STAGES = "stages"
WEIGHTS = Path(__file__).parent / "weights"
"""Trained by `millivid reproduce`."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What the demo does, and how much of it.

    out: the report's folder; what leads up to it goes to its folder `stages`. test_videos, frames: go on from the first 84
    frames of so many held-out videos for `frames` more. sampling_steps: of the sampler. seed: of videos and sampler.
    """

    out: Path = Path("outputs/demo")
    test_videos: int = 8
    frames: int = 128
    sampling_steps: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.test_videos < 2:
            raise ValueError(f"test_videos is {self.test_videos}; intervals need at least 2")


def run_demo(config: DemoConfig) -> Path | None:
    """Run every stage that is not done yet; returns the path of index.html."""
    check_report_folder(config.out, alongside=(STAGES,))
    clips, generated = (config.out / STAGES / name for name in ("clips", "generated"))
    recording = RecordConfig(
        world=WORLD,
        train_videos=0,
        test_videos=config.test_videos,
        test_candidates=1,  # quick
        frames=CONTEXT + config.frames,
        context=CONTEXT,
        seed=config.seed,
    )
    record(recording, clips, processes=available_cores())
    generations = [
        partial(
            generate_videos,
            GenerateConfig(
                data=clips,
                tokenizer=WEIGHTS / "tokenizer",
                model=WEIGHTS / run,
                out=generated / run,
                context=CONTEXT,
                frames=config.frames,
                steps=config.sampling_steps,
                seed=config.seed,
            ),
        )
        for run in RUNS
    ]
    run_beside(generations, at_once=len(RUNS), threads=max(1, available_cores() // len(RUNS)))
    return evaluate_runs(
        EvaluateConfig(
            runs={run: str(generated / run) for run in RUNS},
            reference=clips,
            out=config.out,
            context=CONTEXT,
            tokenizer=WEIGHTS / "tokenizer",
            horizons=(*(end for end in (16, 64) if end < config.frames), config.frames),
            title="MilliVid: does it remember?",
            processes=available_cores(),
        ),
        alongside=(STAGES,),
        descriptions={run: _describe(WEIGHTS / run) for run in RUNS},
    )


def _describe(model: Path) -> str:
    about = json.loads((model / VIDEO_MODEL_FILE).read_text())
    settings = ", ".join(f"{name} {value}" for name, value in about["schedule"].items() if name not in ("name", "pads"))
    return f"{settings}; {about['examples']:,} training examples"
