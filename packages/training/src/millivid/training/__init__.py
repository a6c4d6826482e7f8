"""One training loop for MilliVid's models: Muon and AdamW, typed configs, atomic checkpoints, logs."""

from millivid.training.checkpoint import RunError, open_run, write_json
from millivid.training.config import TrainingConfig
from millivid.training.loop import Task, step_generator, train
from millivid.training.muon import Muon, bf16_is_fast
from millivid.training.optimizer import Optimizer, learning_rate_factor, split_parameters
from millivid.training.settings import REQUIRED, ConfigError, build, check_device, load_config, to_plain

__all__ = [
    "REQUIRED",
    "ConfigError",
    "Muon",
    "Optimizer",
    "RunError",
    "Task",
    "TrainingConfig",
    "bf16_is_fast",
    "build",
    "check_device",
    "learning_rate_factor",
    "load_config",
    "open_run",
    "split_parameters",
    "step_generator",
    "to_plain",
    "train",
    "write_json",
]
