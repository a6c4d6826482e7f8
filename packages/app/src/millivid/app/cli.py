"""The `millivid` command: words of the form key=value after a verb, one sentence for every mistake."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

USAGE = """\
usage: millivid COMMAND [key=value ...]

  demo                 go on from held-out videos, compare: outputs/demo/index.html
  reproduce            the paper's comparison, small out=DIR
  data generate        record first-person videos   world=voxel out=CLIPS
  data import          your own videos as clips     source=DIR out=CLIPS
  data inspect CLIPS   what is in it, what is wrong out=PAGE
  data verify CLIPS    is every file as recorded?
  data export          frames as WebDataset shards  data=CLIPS out=SHARDS
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


def _command(words: Sequence[str]) -> tuple[type, Path | None, Callable[[Any], Any], int]:
    """The config class, the folder of its experiments, what runs it, and how many words name it."""
    match list(words):
        case ["demo", *_]:
            from millivid.app.demo import DemoConfig, run_demo

            return DemoConfig, None, run_demo, 1
        case ["reproduce", *_]:
            from millivid.app.reproduce import ReproduceConfig, reproduce

            return ReproduceConfig, None, reproduce, 1
        case ["data", "generate", *_]:
            from millivid.app.generate_data import DataGenerateConfig, generate_data

            return DataGenerateConfig, None, generate_data, 2
        case ["data", "import", *_]:
            from millivid.app.import_data import ImportDataConfig, import_data

            return ImportDataConfig, None, import_data, 2
        case ["data", "verify" | "inspect" | "export" as verb, *_]:
            from millivid.app import check_data as check

            commands: dict[str, tuple[type, Callable[[Any], Any]]] = {
                "verify": (check.DataVerifyConfig, check.verify_data),
                "inspect": (check.DataInspectConfig, check.inspect_data),
                "export": (check.DataExportConfig, check.export_data),
            }
            config, run = commands[verb]
            return config, None, run, 2
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


def _named(command: Sequence[str], words: Sequence[str]) -> list[str]:
    """The settings; a folder after `data verify`, `inspect` or `export` is their data."""
    looks = list(command[:1]) == ["data"] and command[1] in ("verify", "inspect", "export")
    return [f"data={word}" if looks and "=" not in word else word for word in words]


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
    lines += getattr(cls, "more_help", list)()
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
        result = run(load_config(cls, _named(words[:used], words[used:]), conf))
        leave_processes()
        if result is not None and is_first():
            print(f"done: {result}")
        return 0
    except KeyboardInterrupt:
        print(f"\nstopped; finished work is kept: run millivid {' '.join(words)} again to go on", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"millivid: {explain(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
