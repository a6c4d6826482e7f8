"""The `millivid` command: words of the form key=value after a verb, one sentence for every mistake."""

import difflib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from millivid.command import config_class_of, explain, load_config, run_command, submit
from millivid.command.guard import MISTAKE, guarded, version

USAGE = """\
usage: millivid COMMAND [key=value ...]

  demo                 go on from held-out videos, compare: outputs/demo/index.html
  play                 walk in the browser through a world that the model remembers
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
  import released      the authors' checkpoints     autoencoder=A.ckpt video=B.ckpt out=DIR
  export onnx          graphs for other programs    out=DIR
  export web           a page that needs no server  out=SITE
  env                  what is installed, and what is missing
  plan                 draw a rollout schedule      schedule=millivid schedule.windows=[1,4,16] out=plan.png

millivid COMMAND --help lists a command's settings. A command that was stopped goes on when it is run again.
With --multirun and hydra/launcher=submitit_slurm a command runs as a job of a cluster.
"""

COMMANDS = {
    "demo": "millivid.app.demo:run_demo",
    "play": "millivid.play.play:play",
    "reproduce": "millivid.app.reproduce:reproduce",
    "data generate": "millivid.app.generate_data:generate_data",
    "data import": "millivid.app.import_data:import_data",
    "data inspect": "millivid.app.look_at_data:inspect_data",
    "data verify": "millivid.app.look_at_data:verify_data",
    "data export": "millivid.app.look_at_data:export_data",
    "train tokenizer": "millivid.tokenizer.train:train_tokenizer",
    "encode": "millivid.tokenizer.encode:encode_dataset",
    "train diffusion": "millivid.diffusion.train:train_diffusion",
    "generate": "millivid.app.generate:generate_videos",
    "evaluate": "millivid.app.evaluate:evaluate_runs",
    "import released": "millivid.app.import_released:import_released",
    "import reference": "millivid.app.import_released:import_released",
    "export onnx": "millivid.export.to_onnx:export",
    "export web": "millivid.export.site:export",
    "env": "millivid.app.env:show_environment",
    "plan": "millivid.app.plan:draw_plan",
}
"""What each runs; the experiments of a command are in its module's folder CONF."""
TAKES_A_FOLDER = ("data inspect", "data verify", "data export")
"""A word that is no setting is their data."""
EXTRAS = {"play": "play", "export onnx": "onnx", "export web": "web"}
"""What has to be installed for a command beside the rest."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 a mistake in what was asked for, 130 stopped by Ctrl-C.

    An error of ours is 70, and output that nobody reads 141.
    """
    given = list(sys.argv[1:] if words is None else words)
    return guarded(lambda: _main(given), "millivid", given)


def _main(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if words else MISTAKE
    if words == ["--version"]:
        print(version())
        return 0
    try:
        if {"--multirun", "-m"} & set(words):
            return submit(words, main, check_words)
        name, function, settings, conf = find_command(words)
    except (ValueError, ImportError) as error:
        print(f"millivid: {explain(error)}", file=sys.stderr)
        return MISTAKE
    return run_command(function, settings, conf, f"millivid {name}")


def check_words(words: Sequence[str]) -> None:
    """Raise ValueError or ImportError where the words are none of a command."""
    _, function, settings, conf = find_command(words)
    load_config(config_class_of(function), settings, conf)


def find_command(words: Sequence[str]) -> tuple[str, Callable[[Any], object], list[str], Path | None]:
    """A command's name, its function, its settings, and its folder of experiments.

    Raises ValueError where there is no such command, ImportError where a library is missing.
    """
    name = _find(words)
    module, _, function = COMMANDS[name].partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if name not in EXTRAS:
            raise
        raise ImportError(
            f"millivid {name} needs {error.name}, which is not installed; pip install '.[{EXTRAS[name]}]'"
        ) from error
    settings = list(words[len(name.split()) :])
    if name in TAKES_A_FOLDER:
        settings = [f"data={word}" if _is_folder(word) else word for word in settings]
    return name, getattr(found, function), settings, getattr(found, "CONF", None)


def _is_folder(word: str) -> bool:
    return not word.startswith("-") and ("=" not in word or Path(word).is_dir())


def _find(words: Sequence[str]) -> str:
    """The command that the first words name; raises ValueError with the closest one."""
    for count in (2, 1):
        if (name := " ".join(words[:count])) in COMMANDS:
            return name
    asked = " ".join(word for word in words[:2] if "=" not in word and not word.startswith("-"))
    begun = [name for name in COMMANDS if name.startswith(f"{asked} ")]
    close = (
        begun or difflib.get_close_matches(asked, COMMANDS, n=1) or difflib.get_close_matches(words[0], COMMANDS, n=1)
    )
    hint = f"did you mean {' or '.join(close)}?" if close else "see millivid --help"
    raise ValueError(f"there is no command {asked or words[0]!r}; {hint}")


if __name__ == "__main__":
    sys.exit(main())
