"""The demo: walk on from held-out videos of generated worlds, and show what was remembered."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from millivid.app.evaluate import EvaluateConfig, evaluate_runs
from millivid.app.generate import GenerateConfig, generate_videos
from millivid.app.generate_data import DataGenerateConfig, generate_data
from millivid.app.pipeline_folder import RUNS, WEIGHTS
from millivid.command import alone_in_out, available_cores, run_beside
from millivid.diffusion import SamplerConfig, VideoModelInfo
from millivid.eval import check_report_folder
from millivid.files.values import check_number

STAGES = "stages"


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What the demo does, and how much of it.

    out: the report's folder; what leads up to it goes to its folder `stages`. test_videos: how many held-out videos. frames:
    go on for so many from those that the models are given. sampling_steps: of the sampler, null for those that the models
    were measured with. seed: of videos and sampler.
    """

    out: Path = Path("outputs/demo")
    test_videos: int = 8
    frames: int = 128
    sampling_steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_number(self.test_videos, "test_videos", 2, whole=True, hint=", for intervals")
        check_number(self.frames, "frames", 1, whole=True)
        if self.sampling_steps is not None:
            SamplerConfig(steps=self.sampling_steps)


@alone_in_out
def run_demo(config: DemoConfig) -> Path | None:
    """Run every stage that is not done yet; returns the path of index.html."""
    check_report_folder(config.out, alongside=(STAGES,))
    clips, generated = (config.out / STAGES / name for name in ("clips", "generated"))
    shown = VideoModelInfo.read(WEIGHTS / RUNS[0])
    generate_data(
        DataGenerateConfig(
            model=WEIGHTS / RUNS[0],
            out=clips,
            test_videos=config.test_videos,
            test_candidates=1,  # quick
            frames=(shown.context or 0) + config.frames,
            seed=config.seed,
        )
    )
    generations = [
        partial(
            generate_videos,
            GenerateConfig(
                data=clips,
                tokenizer=WEIGHTS / "tokenizer",
                model=WEIGHTS / run,
                out=generated / run,
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
            tokenizer=WEIGHTS / "tokenizer",
            title="MilliVid: does it remember?",
            processes=available_cores(),
        ),
        alongside=(STAGES,),
        descriptions={run: _describe(WEIGHTS / run) for run in RUNS},
    )


def _describe(model: Path) -> str:
    info = VideoModelInfo.read(model)
    settings = ", ".join(f"{name} {value}" for name, value in info.schedule.items() if name not in ("name", "pads"))
    return f"{settings}; {info.examples:,} training examples"
