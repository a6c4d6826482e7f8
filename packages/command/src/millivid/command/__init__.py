"""A function of a typed config as a command: words, one-sentence errors, devices, processes."""

from millivid.command.launchers import (
    adopt_slurm,
    alone_in_out,
    check_device,
    is_first,
    launched_share,
    leave_processes,
    parse_share,
)
from millivid.command.multirun import submit
from millivid.command.processes import available_cores, run_beside, work_in_processes
from millivid.command.run import config_class_of, explain, run_command
from millivid.command.settings import REQUIRED, ConfigError, build, class_named, load_config, load_experiment, to_plain

__all__ = [
    "REQUIRED", "ConfigError", "adopt_slurm", "alone_in_out", "available_cores", "build", "check_device", "class_named",
    "config_class_of", "explain", "is_first", "launched_share", "leave_processes", "load_config", "load_experiment",
    "parse_share", "run_beside", "run_command", "submit", "to_plain", "work_in_processes",
]  # fmt: skip
