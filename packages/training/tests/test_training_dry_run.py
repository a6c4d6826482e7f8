"""What a dry run prints: by hand for a network of one layer."""

import re

import pytest
import torch
from torch import Tensor, nn

from millivid.command import ConfigError, to_plain
from millivid.command.launchers import launched_share, slurm_environment
from millivid.training import Processes, TrainingConfig, describe_run
from millivid.training.dry_run import estimate_memory, kept_bytes
from millivid.training.throughput import Throughput, count_flops

from .toy import Toy, settings

BATCH, INPUTS, OUTPUTS = 32, 1000, 500


class OneLayer:
    """y = W x, whose forward pass keeps x, y and the square's factor."""

    tokens = 7

    def __init__(self) -> None:
        self.model = nn.Linear(INPUTS, OUTPUTS, bias=False)
        self.examples = self

    def __len__(self) -> int:
        return 50

    def example(self, index: int, generator: torch.Generator) -> Tensor:
        return torch.randn(INPUTS, generator=generator)

    def collate(self, examples: list[Tensor]) -> Tensor:
        return torch.stack(examples)

    def weight(self, batch: Tensor) -> float:
        return float(len(batch))

    def loss(self, batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.model(batch).square().mean(), {}


def test_arithmetic_of_a_product() -> None:
    batch = torch.randn(BATCH, INPUTS)
    assert count_flops(OneLayer(), batch, False, torch.device("cpu")) == 2 * BATCH * INPUTS * OUTPUTS


def test_arithmetic_of_attention_is_counted_on_this_device() -> None:
    class Attention(OneLayer):
        def loss(self, batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            q = batch.view(1, 4, -1, 10)
            return nn.functional.scaled_dot_product_attention(q, q, q).mean(), {}

    tokens = BATCH * INPUTS // 40
    flops = count_flops(Attention(), torch.randn(BATCH, INPUTS), False, torch.device("cpu"))
    assert flops == 2 * 2 * 4 * tokens * tokens * 10


def test_what_a_forward_pass_keeps() -> None:
    batch = torch.randn(BATCH, INPUTS)
    product = 4 * BATCH * OUTPUTS
    kept = kept_bytes(OneLayer(), batch, bf16=False)
    assert product <= kept < product + 100  # the input was there before


def test_utilization_is_arithmetic_over_the_devices_rate() -> None:
    throughput = Throughput.of(OneLayer(), TrainingConfig(), Processes())
    assert throughput.flops == 3 * 2 * INPUTS * OUTPUTS
    assert throughput.tokens == 7
    assert throughput.rate > 1e8
    assert throughput.utilization(throughput.rate / throughput.flops) == pytest.approx(1)


MATRIX = 4 * INPUTS * OUTPUTS


@pytest.mark.parametrize(
    ("zero", "processes", "weights", "gradients", "optimizer"),
    [
        (None, 1, MATRIX, MATRIX, MATRIX),
        (None, 4, MATRIX, MATRIX, MATRIX),
        (1, 4, MATRIX + MATRIX // 4, MATRIX, MATRIX // 4),
        (2, 4, MATRIX + MATRIX // 4, MATRIX // 4, MATRIX // 4),
        (3, 4, MATRIX // 2, MATRIX // 4, MATRIX // 4),
    ],
)
def test_memory_by_hand(zero: int | None, processes: int, weights: int, gradients: int, optimizer: int) -> None:
    config = TrainingConfig(zero=zero, batch_size=8 * processes, micro_batch_size=2, precision="fp32")
    one, two = torch.randn(1, INPUTS), torch.randn(2, INPUTS)
    found = estimate_memory(OneLayer(), one, two, config, Processes(count=processes))
    assert (found.weights, found.gradients, found.optimizer) == (weights, gradients, optimizer)
    assert 2 * 4 * OUTPUTS <= found.activations < 2 * 4 * OUTPUTS + 100


def test_recomputation_keeps_less() -> None:
    one, two = (Toy().collate([Toy().example(0, torch.Generator()) for _ in range(count)]) for count in (64, 128))
    kept = [
        estimate_memory(Toy(), one, two, settings(checkpoint_activations=flag), Processes()).activations
        for flag in (False, True)
    ]
    assert kept[1] < 0.7 * kept[0]


def test_copies_of_weights_in_bfloat16_count_once() -> None:
    config = TrainingConfig(batch_size=1000, precision="bf16")
    found = estimate_memory(OneLayer(), torch.randn(1, INPUTS), torch.randn(2, INPUTS), config, Processes())
    example = 2 * INPUTS + 2 * OUTPUTS + 4 * OUTPUTS  # x and W x in bfloat16, and the square's factor
    assert MATRIX // 2 < found.activations < MATRIX // 2 + 1000 * 1.1 * example


def test_a_run_in_words() -> None:
    config = settings(batch_size=12, micro_batch_size=3, steps=100)
    text = describe_run(to_plain(config), OneLayer(), config, Processes(count=2))
    assert "batch_size: 12\n" in text
    assert "parameters       500,000 (500,000 in 1 matrices by Muon, 0 by AdamW)" in text
    assert "sequence length  7 tokens an example" in text
    assert "steps            100 of 12 examples: 1,200, 24.0 epochs" in text
    assert "processes        2, each 2 x 3 examples a step" in text
    assert re.search(r"memory +about 0.01 GiB a process: weights 0.00, gradients 0.00", text)


def test_sruns_variables_become_torchruns(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "scontrol"
    program.write_text('#!/bin/sh\n[ "$1 $2 $3" = "show hostnames n[3-4]" ] && echo "n3\nn4"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    given = {
        "SLURM_STEP_NODELIST": "n[3-4]", "SLURM_JOB_ID": "54321", "SLURM_PROCID": "9", "SLURM_STEP_NUM_TASKS": "16",
        "SLURM_LOCALID": "1",
    }  # fmt: skip
    expected = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "MASTER_ADDR": "n3", "MASTER_PORT": "34321"}
    assert slurm_environment(given) == expected
    with pytest.raises(ValueError, match="the nodes of this SLURM job are unknown"):
        slurm_environment({**given, "SLURM_STEP_NODELIST": "elsewhere"})


def test_what_a_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched_share("cuda") == (0, 1, "cuda")
    for name, value in (("RANK", "9"), ("WORLD_SIZE", "16"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert launched_share("cuda") == (9, 16, "cuda:1")
    assert launched_share("cuda:5") == (9, 16, "cuda:5") and launched_share("cpu") == (9, 16, "cpu")
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ConfigError, match="RANK=9, WORLD_SIZE=8, LOCAL_RANK=1; RANK must lie between"):
        launched_share("cpu")
    monkeypatch.setenv("WORLD_SIZE", "eight")
    with pytest.raises(ConfigError, match="WORLD_SIZE=eight"):
        launched_share("cpu")
