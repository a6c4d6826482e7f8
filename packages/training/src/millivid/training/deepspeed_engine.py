"""DeepSpeed's ZeRO around the same optimizer: it partitions parameters, gradients and states; the update stays ours.

DeepSpeed has a Muon of its own. It is not used: it flags parameters by another rule, scales updates in another way, and at
stages 2 and 3 clips what is already orthogonalised (docs/decisions/0008). Given an optimizer, DeepSpeed averages and clips
raw gradients, hands over flat partitions of weights and gradients, and gathers the updated weights.
"""

import logging
import os
import warnings
from typing import Any, cast

import torch
from torch import Tensor

from millivid.training.checkpoint import RunError
from millivid.training.config import TrainingConfig
from millivid.training.engine import Engine, LossOf, use_bf16
from millivid.training.optimizer import MuonAdamW, split_parameters
from millivid.training.partitions import Parameter, Partition, contiguous_spans, striped_spans
from millivid.training.processes import Processes
from millivid.training.task import Task

VERSION = "0.19.8"


class DeepSpeedEngine(Engine):
    """A task under ZeRO. Weights stay float32; bfloat16 is autocast, as in plain torch."""

    def __init__(self, task: Task, config: TrainingConfig, processes: Processes) -> None:
        deepspeed = import_deepspeed(processes.device)
        matrices, rest = split_parameters(task.model)
        rules = dict.fromkeys(matrices, "muon") | dict.fromkeys(rest, "adamw")
        names = {id(p): name for name, p in task.model.named_parameters()}
        before = {name: p.detach().cpu().clone() for name, p in task.model.named_parameters() if p.requires_grad}
        self.processes = processes
        self.optimizer = MuonAdamW(task.model, config)
        size, count = config.micro_batches(processes.count)
        self.count = count
        if config.zero == 0:  # DeepSpeed would clip here without giving the norm
            self.optimizer.clip = config.clip
        self.module, *_ = deepspeed.initialize(
            model=LossOf(task, use_bf16(config, processes.device)),
            optimizer=self.optimizer,
            dist_init_required=False,
            config={
                "train_batch_size": config.batch_size,
                "train_micro_batch_size_per_gpu": size,
                "gradient_accumulation_steps": count,
                "gradient_clipping": 0.0 if config.zero == 0 else config.clip,
                "zero_optimization": {"stage": config.zero},
                "zero_allow_untested_optimizer": True,
                "steps_per_print": 2**31 - 1,
            },
        )
        self.stage = config.zero
        found = dict(rules)
        if self.stage:
            self.optimizer.partitions, found = _layout(
                self.module.optimizer, self.optimizer, names, processes, self.stage
            )
        self._check(rules, found, before)

    def _check(self, rules: dict[str, str], found: dict[str, str], before: dict[str, Tensor]) -> None:
        """Raise RuntimeError unless every parameter is updated by its own rule and lies where the optimizer expects it."""
        if found != rules:
            wrong = sorted(name for name in rules.keys() | found.keys() if rules.get(name) != found.get(name))
            raise RuntimeError(
                f"under ZeRO stage {self.stage}, Muon and AdamW would not update what they should: {wrong}"
            )
        weights = self.optimizer.weights(average=False)
        moved = sorted(name for name in before if not torch.equal(weights[name], before[name]))
        if moved:
            raise RuntimeError(
                f"DeepSpeed does not keep parameters where millivid-training looks for them: {moved}; use deepspeed=={VERSION}"
            )

    def backward(self, loss: Tensor, weight: float, last: bool) -> None:
        # DeepSpeed takes the mean over accumulated batches and processes; this makes it the weighted sum
        self.module.backward(loss * (weight * self.processes.count * self.count))
        if not last:
            self.module.step()  # which only counts, until the last

    def apply(self) -> float:
        self.module.step()
        return float(self.module.optimizer._global_grad_norm if self.stage else cast(Tensor, self.optimizer.norm))


def import_deepspeed(device: torch.device) -> Any:
    """The library, quiet and set for the device. Raises RunError where it is missing or of another version."""
    os.environ.setdefault("LOCAL_RANK", str(device.index or 0))  # DeepSpeed needs it for a single process too
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    warnings.filterwarnings("ignore", message=".*torch.distributed.* is deprecated", category=FutureWarning)
    try:
        import deepspeed
    except ImportError as error:
        raise RunError(
            f"training.zero needs DeepSpeed ({error}); install it with pip install deepspeed=={VERSION}, "
            "or set training.zero=null"
        ) from error
    if deepspeed.__version__.split("+")[0] != VERSION:
        raise RunError(
            f"training.zero needs deepspeed=={VERSION}, whose layout of partitions is known and tested, but "
            f"{deepspeed.__version__} is installed; install that one or set training.zero=null"
        )
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)  # it warns of every optimizer that is not its own
    if device.type == "cpu":  # an operation for inference, which would be compiled for a minute first
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def _layout(
    zero: Any, optimizer: MuonAdamW, names: dict[int, str], processes: Processes, stage: int
) -> tuple[dict[Tensor, Partition], dict[str, str]]:
    """How parameters lie in the flat tensors that DeepSpeed has the optimizer update, and by which rule it updates each."""
    partitions: dict[Tensor, Partition] = {}
    rules: dict[str, str] = {}
    for index, flat in enumerate(
        zero.single_partition_of_fp32_groups if stage < 3 else zero.fp32_partitioned_groups_flat
    ):
        group = index if stage < 3 else zero.sub_group_to_group_id[index]
        parameters, start = [], 0
        for place, p in enumerate(zero.round_robin_bit16_groups[index] if stage < 3 else zero.fp16_groups[index]):
            if stage < 3:
                start, size = zero.round_robin_bit16_offsets[index][place], zero.partition_size[index]
                shape, spans = p.shape, contiguous_spans(start, p.numel(), size)
            else:
                size = p.partition_numel()
                shape, spans = p.ds_shape, striped_spans(start, p.ds_numel, size, processes.count)
                start += size
            parameters.append(Parameter(name=names[id(p)], shape=shape, spans=spans))
            rules[names[id(p)]] = optimizer.param_groups[group]["rule"]
        partitions[flat] = Partition(parameters=tuple(parameters), processes=processes.count, rank=processes.rank)
    return partitions, rules
