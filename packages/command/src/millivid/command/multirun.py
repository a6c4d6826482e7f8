"""Commands as jobs of a cluster: Hydra's multirun, whose submitit launcher writes SLURM's job scripts."""

import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

CONFIG = "millivid_jobs"


def submit(words: Sequence[str], command: Callable[[Sequence[str]], int]) -> int:
    """Run a command as one job, or as several where a setting has several values: `training.lr=1e-3,3e-4`.

    words: those of the command, `--multirun` among them, and Hydra's own (`hydra/launcher=submitit_slurm`,
    `hydra.launcher.nodes=2`), which say where. command: what runs a job's words, in each of its processes, and returns an exit
    code. Each of several jobs gets a folder of its own below `out=`; shares of one job (`share=0/2,1/2`) have one.
    Raises ValueError for words that cannot be read, ImportError where the launcher is missing.
    """
    own = [word for word in words if word.startswith(("hydra.", "hydra/"))]
    jobs = expand([word for word in words if word not in own and word not in ("--multirun", "-m")])
    if any("submitit" in word for word in own):
        try:
            import hydra_plugins.hydra_submitit_launcher  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"hydra/launcher=submitit_slurm needs a launcher ({error}): pip install hydra-submitit-launcher"
            ) from error

    def run_job(config: Any) -> None:
        GlobalHydra.instance().clear()  # the command composes its own settings
        given = [str(word) for word in config.jobs[config.job]]
        if code := command(given):
            raise RuntimeError(f"millivid {' '.join(given)} ended with exit code {code}")

    ConfigStore.instance().store(name=CONFIG, node={"jobs": jobs, "job": 0})
    sys.argv = ["millivid", "--multirun", "job=" + ",".join(map(str, range(len(jobs)))), *own]
    hydra.main(config_path=None, config_name=CONFIG, version_base="1.3")(run_job)()
    return 0


def expand(words: Sequence[str]) -> list[list[str]]:
    """The commands that one with several values per setting stands for."""
    choices: list[list[str]] = []
    swept: list[int] = []
    for place, word in enumerate(words):
        choices.append([word])
        if "=" in word:
            try:
                (override,) = OverridesParser.create().parse_overrides([word])
            except HydraException as error:
                raise ValueError(f"the setting {word!r} cannot be read; write key=value or key=value,value") from error
            if override.is_sweep_override():
                key = word.split("=", 1)[0]
                choices[-1] = [f"{key}={value}" for value in override.sweep_string_iterator()]
                if key != "share":  # shares write into one folder
                    swept.append(place)
    jobs = [list(job) for job in itertools.product(*choices)]
    for job in jobs if swept else []:
        folder = ",".join(job[place] for place in swept)
        job[:] = [f"{word}/{folder}" if word.startswith("out=") else word for word in job]
    return jobs
