"""The paper's result in our own world: data, models, rollouts and figures from one command, stage after stage."""

from dataclasses import dataclass
from pathlib import Path

from millivid.app.commands import run_beside
from millivid.app.evaluate import evaluate_runs
from millivid.app.evaluate_config import EvaluateConfig
from millivid.app.results import write_results
from millivid.data import available_cores
from millivid.data_gen import RecordConfig, VoxelConfig, record
from millivid.diffusion.train import VIDEO_MODEL_FILE
from millivid.tokenizer.encode import EncodeConfig, encode_dataset
from millivid.training import REQUIRED, open_run, to_plain

WORLD = VoxelConfig(
    biome_size=0,
    building_spacing=0,
    fixed_sun=True,
    hill_height=0,
    ponds=0,
    shadows=False,
    landmark_spacing=5,
    tree_spacing=64,
    path_clearance=2,
    view_distance=14,
)
"""Landmarks to remember on plain ground: what was tried is in docs/decisions/0011."""
CONTEXT = 84
"""Frames that are given: what the windows of 4, 16 and 64 frames need."""
BUDGET = 600.0
"""Minutes that the sizes below took on two cores without a GPU."""
TRAIN_VIDEOS, TOKENIZER_STEPS, DIFFUSION_STEPS = 1500, 3000, 7000
CASCADED = "millivid_cascaded"
MODELS = ("millivid", "framepack", "full_resolution", CASCADED)


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """What the reproduction does, and how much of it.

    out: its folder; RESULTS.md ends up there. budget: minutes on two cores; data and training shrink and grow with it.
    models: which to train, of millivid, framepack, full_resolution and millivid_cascaded. test_videos, frames: go on from
    the first 84 frames of so many held-out videos for `frames` more. sampling_steps: of the sampler. seed: of it all.
    """

    out: Path = REQUIRED
    budget: float = BUDGET
    models: tuple[str, ...] = MODELS
    test_videos: int = 64
    frames: int = 256
    sampling_steps: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.budget > 0:
            raise ValueError(f"budget is {self.budget}; it is a number of minutes above 0")
        if unknown := [name for name in self.models if name not in MODELS]:
            raise ValueError(f"models names {unknown[0]!r}; these are: {', '.join(MODELS)}")
        if not self.models:
            raise ValueError("models is empty; name at least one")
        if self.test_videos < 2:
            raise ValueError(f"test_videos is {self.test_videos}; intervals need at least 2")
        if self.sampling_steps < 2:
            raise ValueError(f"sampling_steps is {self.sampling_steps}; it must be at least 2")
        if self.frames < 1:
            raise ValueError(f"frames is {self.frames}; it must be at least 1")

    def scaled(self, size: int, least: int) -> int:
        """A size of the whole budget, for this one."""
        return max(least, round(size * self.budget / BUDGET))


def reproduce(config: ReproduceConfig) -> Path:
    """Do every stage that is not done yet; returns the path of RESULTS.md."""
    out, cores = config.out, available_cores()
    open_run(out, "a reproduction", to_plain(config))
    clips = out / "clips"
    recording = RecordConfig(
        world=WORLD,
        train_videos=config.scaled(TRAIN_VIDEOS, least=2),
        test_videos=config.test_videos,
        frames=CONTEXT + max(config.frames, 64),
        context=CONTEXT,
        seed=config.seed,
    )
    _tell(1, "data")
    record(recording, clips, processes=cores)

    of_model = {name: "cascaded" if name == CASCADED else "adaptive" for name in config.models}
    variants = list(dict.fromkeys(["adaptive", *of_model.values()]))
    tokenizers = {variant: out / "tokenizers" / variant for variant in variants}
    _tell(2, "tokenizers and their latents")
    run_beside(
        [
            [
                *(
                    "train",
                    "tokenizer",
                    "experiment=tiny",
                    f"model.variant={variant}",
                    f"data={clips}",
                    f"out={folder}",
                ),
                *(f"training.steps={config.scaled(TOKENIZER_STEPS, least=1)}", f"training.seed={config.seed}"),
            ]
            for variant, folder in tokenizers.items()
        ],
        at_once=cores,
        threads=max(1, cores // len(tokenizers)),
    )
    for variant, folder in tokenizers.items():
        latents = out / "latents" / variant
        encode_dataset(EncodeConfig(data=clips, tokenizer=folder / "model", out=latents, processes=cores))
    _tell(3, f"video models: {', '.join(config.models)}")
    run_beside(
        [
            [
                *("train", "diffusion", f"experiment=tiny_{name.removesuffix('_cascaded')}"),
                *(f"data={out / 'latents' / variant}", f"out={out / 'models' / name}"),
                *(f"training.steps={config.scaled(DIFFUSION_STEPS, least=1)}", f"training.seed={config.seed}"),
            ]
            for name, variant in of_model.items()
            if not (out / "models" / name / "model" / VIDEO_MODEL_FILE).is_file()
        ],
        at_once=cores,
    )
    _tell(4, "generation")
    run_beside(
        [
            [
                *("generate", f"data={clips}", f"model={out / 'models' / name / 'model'}"),
                *(f"tokenizer={tokenizers[variant] / 'model'}", f"out={out / 'generated' / name}"),
                *(f"context={CONTEXT}", f"frames={config.frames}", f"steps={config.sampling_steps}", "batch=16"),
                f"seed={config.seed}",
            ]
            for name, variant in of_model.items()
        ],
        at_once=cores,
    )
    _tell(5, "evaluation")
    evaluate_runs(
        EvaluateConfig(
            runs={name: str(out / "generated" / name) for name in config.models},
            reference=clips,
            out=out / "report",
            context=CONTEXT,
            frames=config.frames,
            tokenizer=tokenizers["adaptive"] / "model",
            horizons=(*(end for end in (16, 64, 256) if end < config.frames), config.frames),
            title="MilliVid: does it remember?",
            processes=cores,
        )
    )
    return write_results(out, config.models)


def _tell(stage: int, name: str) -> None:
    print(f"stage {stage} of 5: {name}", flush=True)
