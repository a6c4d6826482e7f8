"""The `millivid` command: words of the form key=value after a verb, one sentence for every mistake."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

USAGE = """\
usage: millivid COMMAND [key=value ...]

  demo                 go on from held-out videos, compare: outputs/demo/index.html
  data generate        record first-person videos of generated worlds
  data import          the paper's released data   source=DIR out=CLIPS
  data verify          check a dataset of latents   data=LATENTS
  train tokenizer      frames to latents            experiment=tiny data=CLIPS out=RUN
  encode               clips to latents             data=CLIPS tokenizer=RUN/model out=LATENTS
  train diffusion      the video model              experiment=tiny_millivid data=LATENTS out=RUN
  generate             videos from context          data=CLIPS model=RUN/model tokenizer=... out=CLIPS
  evaluate             score videos, write a report generated=DIR reference=DIR out=REPORT
  import reference     the authors' checkpoints     autoencoder=A.ckpt video=B.ckpt out=DIR
  plan                 draw a rollout schedule      schedule=millivid schedule.windows=[1,4,16] out=plan.png

millivid COMMAND --help lists a command's settings. A command that was stopped goes on when it is run again.
With --multirun and hydra/launcher=submitit_slurm a command runs as a job of a cluster.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataGenerateConfig:
    """world: name and settings of the world; out: the folder of clips; processes: 0 for one per core.

    The rest is as in `millivid.data_gen.RecordConfig`.
    """

    out: Path = "???"  # type: ignore[assignment]
    world: dict[str, Any] = dataclasses.field(default_factory=lambda: {"name": "voxel"})
    train_videos: int = 400
    test_videos: int = 16
    frames: int = 212
    context: int = 84
    seed: int = 0
    fps: int = 20
    lossless: bool = False
    processes: int = 0

    def __post_init__(self) -> None:
        if self.processes < 0:
            raise ValueError(f"processes is {self.processes}; it must be at least 1, or 0 for one per core")


def _data_generate(config: DataGenerateConfig) -> Path:
    from millivid.data_gen import RecordConfig, VoxelConfig, record
    from millivid.training import ConfigError, build

    world = dict(config.world)
    if (name := world.pop("name", "voxel")) != "voxel":
        raise ConfigError(f"there is no world {name!r} that can be recorded; use world=voxel")
    settings = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    for key in ("out", "processes", "world"):
        settings.pop(key)
    recording = RecordConfig(world=build(VoxelConfig, world, "world."), **settings)
    record(recording, config.out, processes=config.processes or None)
    return config.out


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataVerifyConfig:
    """data: a dataset of latents, whose files are counted, measured and hashed."""

    data: Path = "???"  # type: ignore[assignment]


def _data_verify(config: DataVerifyConfig) -> None:
    from functools import partial

    from tqdm import tqdm

    from millivid.data import LatentDataset

    found = LatentDataset(config.data).verify(progress=partial(tqdm, desc="verify", unit="video"))
    hashed = f"{found.hashes} of them hashed" if found.hashes < found.videos else "all hashed"
    print(f"{found.videos} videos, {found.frames} frames, {hashed}: as recorded")


def _command(words: Sequence[str]) -> tuple[type, Path | None, Callable[[Any], Any], int]:
    """The config class, the folder of its experiments, what runs it, and how many words name it."""
    match list(words):
        case ["demo", *_]:
            from millivid.app.demo import DemoConfig, run_demo

            return DemoConfig, None, run_demo, 1
        case ["data", "generate", *_]:
            return DataGenerateConfig, None, _data_generate, 2
        case ["data", "import", *_]:
            from millivid.app.import_data import ImportDataConfig, import_data

            return ImportDataConfig, None, import_data, 2
        case ["data", "verify", *_]:
            return DataVerifyConfig, None, _data_verify, 2
        case ["train", "tokenizer", *_]:
            from millivid.tokenizer import train as tokenizer_train

            return tokenizer_train.TrainTokenizerConfig, tokenizer_train.CONF, tokenizer_train.train_tokenizer, 2
        case ["train", "diffusion", *_]:
            from millivid.diffusion import train as diffusion_train

            return diffusion_train.TrainDiffusionConfig, diffusion_train.CONF, diffusion_train.train_diffusion, 2
        case ["encode", *_]:
            from millivid.tokenizer.encode import EncodeConfig, encode_dataset

            return EncodeConfig, None, encode_dataset, 1
        case ["generate", *_]:
            from millivid.app.generate import GenerateConfig, generate_videos

            return GenerateConfig, None, generate_videos, 1
        case ["evaluate", *_]:
            from millivid.app.evaluate import evaluate_runs
            from millivid.app.evaluate_config import CONF, EvaluateConfig

            return EvaluateConfig, CONF, evaluate_runs, 1
        case ["import", "reference", *_]:
            from millivid.app.import_reference import ImportReferenceConfig, import_reference

            return ImportReferenceConfig, None, import_reference, 2
        case ["plan", *_]:
            from millivid.app.drawing import PlanConfig, draw_plan

            return PlanConfig, None, draw_plan, 1
    raise ValueError(f"there is no command {' '.join(words[:2])!r}; see millivid --help")


def _help(cls: type, conf: Path | None) -> str:
    from millivid.training import to_plain

    lines = [(cls.__doc__ or "").strip(), ""]
    if conf is not None:
        names = sorted(path.stem for path in (conf / "experiment").glob("*.yaml"))
        lines.append(f"experiment={'|'.join(names)}")
    for field in dataclasses.fields(cls):
        default = getattr(cls(), field.name)
        values = to_plain(default) if dataclasses.is_dataclass(default) else {"": default}
        lines += [f"{field.name}{'.' if key else ''}{key}={value}" for key, value in values.items()]
    return "\n".join(lines).replace("=???", "=(required)")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 a mistake in what was asked for, 130 stopped by Ctrl-C."""
    words = sys.argv[1:] if words is None else words
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if words else 2
    try:
        from millivid.training import adopt_slurm, explain, is_first, leave_processes, load_config

        adopt_slurm()
        cls, conf, run, used = _command(words)
        if {"--multirun", "-m"} & set(words):
            from millivid.app.multirun import submit

            return submit(words, main)
        if set(words[used:]) & {"-h", "--help"}:
            print(_help(cls, conf))
            return 0
        result = run(load_config(cls, words[used:], conf))
        leave_processes()
        if result is not None and is_first():
            print(f"done: {result}")
        return 0
    except KeyboardInterrupt:
        print(f"\nstopped; finished work is kept: run millivid {' '.join(words)} again to go on", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"millivid: {explain(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
