"""A function of a typed config as a command: words, one-sentence errors, devices, processes."""

from millivid.command.devices import Precision, autocast, bf16_is_fast, check_device, device_named, precision_on
from millivid.command.launchers import (
    adopt_slurm,
    alone_in_out,
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
    "REQUIRED", "ConfigError", "Precision", "adopt_slurm", "alone_in_out", "autocast", "available_cores",
    "bf16_is_fast", "build", "check_device", "class_named", "config_class_of", "device_named", "explain", "is_first",
    "launched_share", "leave_processes", "load_config", "load_experiment", "parse_share", "precision_on", "run_beside",
    "run_command", "submit", "to_plain", "work_in_processes",
]  # fmt: skip
