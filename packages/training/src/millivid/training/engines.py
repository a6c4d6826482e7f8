"""Which engine a run asks for."""

from millivid.training.config import TrainingConfig
from millivid.training.engine import Engine, checkpoint_blocks, compile_blocks
from millivid.training.processes import Processes
from millivid.training.task import Task
from millivid.training.torch_engine import TorchEngine


def make_engine(task: Task, config: TrainingConfig, processes: Processes) -> Engine:
    """The engine that the settings ask for, around the task's model, which belongs to it from then on."""
    if config.checkpoint_activations:
        checkpoint_blocks(task.model)
    if config.compile:
        compile_blocks(task.model)
    if config.zero is None:
        return TorchEngine(task, config, processes)
    from millivid.training.deepspeed_engine import DeepSpeedEngine

    return DeepSpeedEngine(task, config, processes)
