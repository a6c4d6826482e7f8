"""One training loop for MilliVid's models on one process or many: Muon and AdamW, ZeRO, exact resume, nothing lost."""

from millivid.training.checkpoint import RunError, open_run, write_json
from millivid.training.command import explain, is_first, run_command
from millivid.training.config import TrainingConfig
from millivid.training.dry_run import describe_run
from millivid.training.loop import train
from millivid.training.optimizer import MuonAdamW, split_parameters
from millivid.training.processes import Processes, adopt_slurm, join_processes, launched_share, leave_processes
from millivid.training.settings import REQUIRED, ConfigError, build, check_device, load_config, to_plain
from millivid.training.task import Examples, Task

__all__ = [
    "REQUIRED",
    "ConfigError",
    "Examples",
    "MuonAdamW",
    "Processes",
    "RunError",
    "Task",
    "TrainingConfig",
    "adopt_slurm",
    "build",
    "check_device",
    "describe_run",
    "explain",
    "is_first",
    "join_processes",
    "launched_share",
    "leave_processes",
    "load_config",
    "open_run",
    "run_command",
    "split_parameters",
    "to_plain",
    "train",
    "write_json",
]
