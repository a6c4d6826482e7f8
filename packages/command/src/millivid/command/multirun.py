"""Commands as jobs of a cluster: Hydra's multirun, whose submitit launcher writes SLURM's job scripts."""

import itertools
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import RangeSweep
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from millivid.command.settings import ConfigError, first_line, parse, unquoted

CONFIG = "millivid_jobs"
MOST_JOBS = 10_000


def submit(
    words: Sequence[str], command: Callable[[Sequence[str]], int], check: Callable[[Sequence[str]], object]
) -> int:
    """Run a command as one job, or as several where a setting has several values: `training.lr=1e-3,3e-4`.

    words: those of the command, `--multirun` among them, and Hydra's own (`hydra/launcher=submitit_slurm`,
    `hydra.launcher.nodes=2`), which say where; without them the jobs run here, one after the other. command: what runs a
    job's words, in each of its processes, and returns an exit code. check: raises ValueError for a job's words that cannot
    be, before there are jobs. Each of several jobs gets a folder of its own below `out=`; shares of one job
    (`share=0/2,1/2`) have one.
    Raises ValueError for words that cannot be read and jobs that failed, ImportError where the launcher is missing.
    """
    own = [word for word in words if word.startswith(("hydra.", "hydra/"))]
    jobs = expand([word for word in words if word not in own and word not in ("--multirun", "-m")])
    for job in jobs:
        check(job)
    if not own:
        return next((code for job in jobs if (code := command(job))), 0)
    if any("submitit" in word for word in own):
        try:
            import hydra_plugins.hydra_submitit_launcher  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"hydra/launcher=submitit_slurm needs a launcher ({error}): pip install hydra-submitit-launcher"
            ) from error
    missing = [name for name in ("srun", "sbatch") if shutil.which(name) is None]
    if missing and any("submitit_slurm" in word for word in own):
        raise ConfigError(
            f"this machine has no {missing[0]}, so it is none of a SLURM cluster; log in to one, or leave hydra/launcher out"
        )

    def run_job(config: Any) -> None:
        GlobalHydra.instance().clear()
        given = [str(word) for word in config.jobs[config.job]]
        if code := command(given):
            raise RuntimeError(f"millivid {' '.join(given)} ended with exit code {code}")

    plain = [[word.replace("${", r"\${") for word in job] for job in jobs]  # what Hydra would fill in
    ConfigStore.instance().store(name=CONFIG, node={"jobs": plain, "job": 0})
    sys.argv = ["millivid", "--multirun", "job=" + ",".join(map(str, range(len(jobs)))), *own]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors here instead of printing them
    try:
        hydra.main(config_path=None, config_name=CONFIG, version_base="1.3")(run_job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"the words {' '.join(own)!r} cannot be: {first_line(error)}") from error
    except RuntimeError as error:  # submitit's are such, too
        raise ConfigError(f"a job failed or was lost ({first_line(error)}); its log is below multirun/") from error
    return 0


def expand(words: Sequence[str]) -> list[list[str]]:
    """The commands that one with several values per setting stands for. Raises ValueError for more than 10,000."""
    choices: list[list[str]] = []
    swept: list[int] = []
    for place, word in enumerate(words):
        choices.append([word])
        key, _, text = word.partition("=")
        try:
            override = parse(text)
            if not override.is_sweep_override():
                continue
            sweep = override.value()
            if isinstance(sweep, RangeSweep) and abs((sweep.stop or 0) - (sweep.start or 0)) > MOST_JOBS * abs(
                sweep.step
            ):
                raise ConfigError(f"{word} makes more than {MOST_JOBS:,} jobs; take fewer values")
            choices[-1] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        except ConfigError:
            raise
        except (ValueError, HydraException, RecursionError):  # a path as it is typed, or what the command says more of
            continue
        if key != "share":  # shares write into one folder
            swept.append(place)
    if math.prod(map(len, choices)) > MOST_JOBS:
        raise ConfigError(f"these settings make {math.prod(map(len, choices)):,} jobs; {MOST_JOBS:,} are the most")
    jobs = [list(job) for job in itertools.product(*choices)]
    for job in jobs if swept else []:
        folder = ",".join(job[place] for place in swept)
        job[:] = [f"out={unquoted(word[4:])}/{folder}" if word.startswith("out=") else word for word in job]
    return jobs
