"""The demo: walk on from held-out videos of generated worlds, and show what was remembered."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from millivid.app.evaluate import evaluate_runs
from millivid.app.evaluate_config import EvaluateConfig
from millivid.data_gen import RecordConfig, VoxelConfig, record
from millivid.diffusion.train import VIDEO_MODEL_FILE
from millivid.eval import check_report_folder
from millivid.tokenizer.encode import EncodeConfig, encode_dataset

RUNS = ("millivid", "full_resolution")
STAGES = "stages"
WORLD = VoxelConfig(biome_size=0, building_spacing=0, fixed_sun=True)
"""The worlds that the shipped models were trained in."""
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What the demo does, and its sizes.

    out: the report's folder; what leads up to it goes to its folder `stages`. train: train the models here instead of
    using the shipped ones. test_videos, context, frames: go on from the first `context` frames of so many held-out
    videos for `frames` more. sampling_steps: of the sampler. train_videos, tokenizer_steps, diffusion_steps: of the
    training, if there is one. seed: of it all.
    """

    out: Path = Path("outputs/demo")
    train: bool = False
    test_videos: int = 8
    context: int = 84
    frames: int = 128
    sampling_steps: int = 6
    train_videos: int = 200
    tokenizer_steps: int = 400
    diffusion_steps: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        if self.test_videos < 2:
            raise ValueError(f"test_videos is {self.test_videos}; the random-frames bound needs at least 2")


def run_demo(config: DemoConfig) -> Path | None:
    """Run every stage that is not done yet; returns the path of index.html."""
    check_report_folder(config.out, alongside=(STAGES,))
    stages = config.out / STAGES / ("trained" if config.train else "shipped")
    clips = stages / "clips"
    recording = RecordConfig(
        world=WORLD,
        train_videos=config.train_videos if config.train else 0,
        test_videos=config.test_videos,
        test_candidates=1,  # quick
        frames=config.context + config.frames,
        context=config.context,
        seed=config.seed,
    )
    record(recording, clips, processes=_cores())
    models = _train(config, stages, clips) if config.train else {name: WEIGHTS / name for name in ("tokenizer", *RUNS)}
    _run_all(
        [
            [
                *("generate", f"data={clips}", f"tokenizer={models['tokenizer']}", f"model={models[run]}"),
                *(f"out={stages / 'generated' / run}", f"context={config.context}", f"frames={config.frames}"),
                *(f"steps={config.sampling_steps}", f"seed={config.seed}"),
            ]
            for run in RUNS
        ]
    )
    return evaluate_runs(
        EvaluateConfig(
            runs={run: str(stages / "generated" / run) for run in RUNS},
            reference=clips,
            out=config.out,
            context=config.context,
            tokenizer=models["tokenizer"],
            horizons=(16, 64, 128),
            title="MilliVid: does it remember?",
        ),
        alongside=(STAGES,),
        descriptions={run: _describe(models[run]) for run in RUNS},
    )


def _describe(model: Path) -> str:
    about = json.loads((model / VIDEO_MODEL_FILE).read_text())
    settings = ", ".join(f"{name} {value}" for name, value in about["schedule"].items() if name not in ("name", "pads"))
    return f"{settings}; {about['examples']:,} training examples"


def _train(config: DemoConfig, stages: Path, clips: Path) -> dict[str, Path]:
    """Train the tokenizer, then the video models beside each other; returns their folders by name."""
    latents = stages / "latents"
    models = {name: stages / name / "model" for name in ("tokenizer", *RUNS)}
    _run_all(
        [
            [
                *("train", "tokenizer", "experiment=tiny", f"data={clips}", f"out={models['tokenizer'].parent}"),
                *(f"training.steps={config.tokenizer_steps}", f"training.seed={config.seed}"),
            ]
        ],
        threads=_cores(),
    )
    encode_dataset(EncodeConfig(data=clips, tokenizer=models["tokenizer"], out=latents))
    _run_all(
        [
            [
                *("train", "diffusion", f"experiment=tiny_{run}", f"data={latents}", f"out={models[run].parent}"),
                *(f"training.steps={config.diffusion_steps}", f"training.seed={config.seed}"),
            ]
            for run in RUNS
        ]
    )
    return models


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _run_all(commands: list[list[str]], threads: int = 1) -> None:
    """Run millivid commands beside each other, a process each, and wait; all stop when one fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    running = [
        subprocess.Popen([sys.executable, "-m", "millivid.app.cli", *command], env=environment) for command in commands
    ]
    try:
        codes = [process.wait() for process in running]
    except BaseException:
        for process in running:
            process.wait()  # Ctrl-C reaches them too: each saves what it has
        raise
    if failed := next((code for code in codes if code), 0):
        raise SystemExit(failed)
