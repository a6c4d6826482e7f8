"""One training loop for MilliVid's models on one process or many: Muon and AdamW, ZeRO, exact resume, nothing lost."""

from millivid.training.checkpoint import RunError, open_run, write_json
from millivid.training.config import TrainingConfig
from millivid.training.dry_run import describe_run
from millivid.training.loop import train
from millivid.training.optimizer import MuonAdamW, split_parameters
from millivid.training.processes import Processes, join_processes
from millivid.training.task import Examples, Task

__all__ = [
    "Examples", "MuonAdamW", "Processes", "RunError", "Task", "TrainingConfig", "describe_run", "join_processes", "open_run",
    "split_parameters", "train", "write_json",
]  # fmt: skip
