"""The paper's result in our own world: data, models, rollouts and figures from one command, stage after stage."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from millivid.app.evaluate import EvaluateConfig, evaluate_runs
from millivid.app.generate import GenerateConfig, generate_videos
from millivid.app.generate_data import CONF as DATA
from millivid.app.generate_data import DataGenerateConfig, generate_data, recording
from millivid.app.results import Cost, write_results
from millivid.command import (
    REQUIRED,
    alone_in_out,
    available_cores,
    check_device,
    device_named,
    load_experiment,
    run_beside,
    to_plain,
)
from millivid.data_gen import VoxelConfig
from millivid.diffusion import SamplerConfig
from millivid.diffusion import train as diffusion_train
from millivid.diffusion.train import TrainDiffusionConfig, train_diffusion
from millivid.eval import LPIPS
from millivid.files import read_json, replacing_folder
from millivid.files.pretrained import CONFIG_NAME, WEIGHTS_NAME, save_weights
from millivid.files.values import check_number
from millivid.tokenizer import train as tokenizer_train
from millivid.tokenizer.encode import EncodeConfig, encode_dataset
from millivid.tokenizer.train import TrainTokenizerConfig, train_tokenizer
from millivid.training import open_run
from millivid.training.loop import TRAINED_FILE

BUDGET = 150.0
"""Minutes on two cores that the sizes below were planned for; they scale with it, and nothing is cut off."""
TRAIN_VIDEOS, TOKENIZER_STEPS, DIFFUSION_STEPS = 1000, 1600, 3600
FREE_TO_CHANGE = ("out", "models", "device")
CASCADED = "millivid_cascaded"
MODELS = ("millivid", "framepack", "full_resolution", CASCADED)


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """What the reproduction does, and how much of it.

    out: its folder; RESULTS.md ends up there. budget: minutes on two cores; data and training shrink and grow with it.
    models: which to train, of millivid, framepack, full_resolution and millivid_cascaded; more may be added later.
    init: the `weights` of an earlier reproduction, to go on from: tokenizers are taken as they are, video models of the same
    name are trained further, on other examples and with half the learning rate.
    test_videos: how many held-out videos. frames: generated in each. sampling_steps: of the sampler, null for those of the
    models' experiments. seed: of it all. device: cpu, where all models train at once, or cuda, where one after the other does.
    """

    out: Path = REQUIRED
    budget: float = BUDGET
    models: tuple[str, ...] = MODELS
    init: Path | None = None
    test_videos: int = 64
    frames: int = 256
    sampling_steps: int | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 14_000:  # more than 93,000 videos fit no dataset
            raise ValueError(f"budget is {self.budget}; it is a number of minutes above 0 and at most 14,000")
        if unknown := [name for name in self.models if name not in MODELS]:
            raise ValueError(f"models names {unknown[0]!r}; these are: {', '.join(MODELS)}")
        if not self.models:
            raise ValueError("models is empty; name at least one")
        for folder in ("tokenizer", *self.models):
            if self.init is not None and not (self.init / folder / TRAINED_FILE).is_file():
                raise ValueError(
                    f"init={self.init} has no {folder}/{TRAINED_FILE}; give the weights of a reproduction with these models"
                )
        check_number(self.test_videos, "test_videos", 2, whole=True, hint=", for intervals")
        check_number(self.frames, "frames", 1, whole=True)
        if self.sampling_steps is not None:
            SamplerConfig(steps=self.sampling_steps)

    def scaled(self, size: int, least: int) -> int:
        """A size of the whole budget, for this one."""
        return max(least, round(size * self.budget / BUDGET))

    @property
    def variants(self) -> list[str]:
        """The tokenizers to train; the bound is that of the adaptive one."""
        return list(dict.fromkeys(["adaptive", *map(variant_of, self.models)]))

    @property
    def processes(self) -> int:
        """How many encode and evaluate."""
        return available_cores() if self.device == "cpu" else 1

    def threads(self, beside: int) -> int | None:
        """How many each of so many models has that are at work at the same time; None for as many as torch takes."""
        return max(1, available_cores() // max(1, beside)) if self.device == "cpu" else None

    def tokenizer(self, variant: str) -> Path:
        """Where a trained tokenizer is."""
        return self.out / "weights" / ("tokenizer" if variant == "adaptive" else f"tokenizer_{variant}")

    def model(self, name: str) -> Path:
        """Where a trained video model is."""
        return self.out / "weights" / name

    def before(self, folder: Path) -> Path | None:
        """What a folder of trained weights goes on from, None where that is nothing."""
        earlier = self.init and self.init / folder.name
        return earlier if earlier and earlier.is_dir() else None


@alone_in_out
def reproduce(config: ReproduceConfig) -> Path:
    """Do every stage that is not done yet; returns the path of RESULTS.md. Raises MissingWeights without those of LPIPS."""
    config = replace(config, device=check_device(device_named(config.device)))
    settings = {key: value for key, value in to_plain(config).items() if key not in FREE_TO_CHANGE}
    LPIPS()  # raises where its weights are missing, which is better said now than after the first stage
    open_run(config.out, "a reproduction", settings, added={"init": None})
    _say(1, "data")
    generate_data(_data(config))
    _say(2, "tokenizers")
    for folder in map(config.tokenizer, config.variants):
        if not folder.is_dir() and (earlier := config.before(folder)):
            with replacing_folder(folder) as copy:
                shutil.copytree(earlier, copy, dirs_exist_ok=True)
    untrained = [variant for variant in config.variants if not config.tokenizer(variant).is_dir()]
    threads = config.threads(len(untrained))
    _beside(config, [_tokenizer_training(config, variant, threads) for variant in untrained], threads)
    for variant in untrained:
        _keep(_run_of(config, variant), config.tokenizer(variant))
    untrained = [name for name in config.models if not config.model(name).is_dir()]
    for variant in dict.fromkeys(map(variant_of, untrained)):
        encode_dataset(
            EncodeConfig(
                data=config.out / "clips",
                tokenizer=config.tokenizer(variant),
                out=config.out / "latents" / variant,
                processes=config.processes,
                device=config.device,
            )
        )
    _say(3, f"video models: {', '.join(config.models)}")
    threads = config.threads(len(untrained))
    _beside(config, [_video_training(config, name, threads) for name in untrained], threads)
    for name in untrained:
        _keep(_run_of(config, name), config.model(name), config.before(config.model(name)))
    _say(4, "generation")
    _beside(config, [_generation(config, name) for name in config.models], config.threads(len(config.models)))
    _say(5, "evaluation")
    evaluate_runs(
        EvaluateConfig(
            runs={name: str(config.out / "generated" / name) for name in config.models},
            reference=config.out / "clips",
            out=config.out / "report",
            frames=config.frames,
            tokenizer=config.tokenizer("adaptive"),
            title="MilliVid: does it remember?",
            processes=config.processes,
            device=config.device,
        )
    )
    return write_results(config.out, config.models)


def _keep(run: Path, out: Path, before: Path | None = None) -> None:
    """Save a run's model with its weights in float16, which loads as float32, and what it took; the folder appears whole.

    Raises ValueError for weights that float16 does not reach.
    """
    model = run / "model"
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(model / WEIGHTS_NAME).items()
    }
    beyond = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if beyond:
        raise ValueError(
            f"{beyond[0]} of {model} has values beyond float16's 65,504; train it anew with a lower training.lr"
        )
    with replacing_folder(out) as folder:
        for file in model.glob("*.json"):
            shutil.copyfile(file, folder / file.name)
        save_weights(folder, read_json(model / CONFIG_NAME, dict[str, Any]), tensors)
        Cost.of(*[taken for taken in (run, before) if taken]).save(folder)


def _data(config: ReproduceConfig) -> DataGenerateConfig:
    tiny = load_experiment(
        DataGenerateConfig,
        DATA,
        "tiny",
        out=config.out / "clips",
        train_videos=config.scaled(TRAIN_VIDEOS, least=2),
        test_videos=config.test_videos,
        seed=config.seed,
    )
    return replace(tiny, frames=(tiny.context or 0) + max(config.frames, 64))


def _tokenizer_training(config: ReproduceConfig, variant: str, threads: int | None) -> Callable[[], object]:
    settings = load_experiment(
        TrainTokenizerConfig,
        tokenizer_train.CONF,
        "tiny",
        data=config.out / "clips",
        out=_run_of(config, variant),
        device=config.device,
        model={"variant": variant},
        perceptual="millivid.eval:LPIPS",
        perceptual_weight=0.03,
        training={
            "steps": config.scaled(TOKENIZER_STEPS, least=1),
            "seed": config.seed,
            "threads": threads,
        },
    )
    return partial(train_tokenizer, settings)


def _video_training(config: ReproduceConfig, name: str, threads: int | None) -> Callable[[], object]:
    world = recording(_data(config)).world
    assert isinstance(world, VoxelConfig)
    turn = 90 / world.frames_per_action
    before = config.before(config.model(name))
    settings = load_experiment(
        TrainDiffusionConfig,
        diffusion_train.CONF,
        f"tiny_{name.removesuffix('_cascaded')}",
        data=config.out / "latents" / variant_of(name),
        out=_run_of(config, name),
        device=config.device,
        init=before,
        # forward, left, right: distance and degrees of a frame
        model={"odometry": [[world.step, 0.0], [0.0, turn], [0.0, -turn]]},
        training={
            "steps": config.scaled(DIFFUSION_STEPS, least=1),
            "seed": config.seed + (0 if before is None else Cost.of(before).examples),
            "threads": threads,
        },
    )
    if before is not None:
        settings = replace(settings, training=replace(settings.training, lr=settings.training.lr / 2))
    return partial(train_diffusion, settings)


def _generation(config: ReproduceConfig, name: str) -> Callable[[], object]:
    settings = GenerateConfig(
        data=config.out / "clips",
        model=config.model(name),
        tokenizer=config.tokenizer(variant_of(name)),
        out=config.out / "generated" / name,
        frames=config.frames,
        steps=config.sampling_steps,
        batch=16,
        seed=config.seed,
        device=config.device,
        precision="fp32",  # whatever is fast here, so that the result is the same elsewhere
    )
    return partial(generate_videos, settings)


def _run_of(config: ReproduceConfig, name: str) -> Path:
    """The training run of a model, or of a tokenizer by its variant."""
    return config.out / ("models" if name in MODELS else "tokenizers") / name


def variant_of(model: str) -> str:
    """Which tokenizer a model's latents come from."""
    return "cascaded" if model == CASCADED else "adaptive"


def _beside(config: ReproduceConfig, calls: Sequence[Callable[[], object]], threads: int | None) -> None:
    """On the CPU all at once, on a GPU one by one."""
    if calls:
        run_beside(calls, at_once=len(calls) if config.device == "cpu" else 1, threads=threads)


def _say(stage: int, name: str) -> None:
    print(f"stage {stage} of 5: {name}", flush=True)
