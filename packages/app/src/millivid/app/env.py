"""`millivid env`: what is here, what is missing, and what that would give: the first lines of any report of a fault."""

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from millivid.command import available_cores
from millivid.command.devices import bf16_is_fast
from millivid.command.guard import version
from millivid.eval.errors import EvaluationError, MissingWeights
from millivid.eval.networks import dinov2, i3d, inception, lpips, matchers
from millivid.eval.networks.weights import locate
from millivid.kernels import status

LIBRARIES = ("numpy", "safetensors", "av", "numba", "hydra-core", "huggingface_hub")
"""Distributions whose versions matter to a fault, beside torch."""
OPTIONAL = {
    "starlette": ("millivid play", "'.[play]'"),
    "onnx": ("millivid export onnx", "'.[onnx]'"),
    "onnxruntime": ("a host for exported models", "'.[onnx]'"),
    "deepspeed": ("training with ZeRO on many GPUs", "'.[training]'"),
    "wandb": ("training's log on Weights & Biases", "'.[training]'"),
    "transformers": ("DINOv2's distances", "'.[networks]'"),
    "kornia": ("matches by LightGlue", "'.[networks]'"),
    "cv2": ("matches by ORB", "'.[networks]'"),
    "vizdoom": ("world=vizdoom", "'.[worlds]'"),
    "pyarrow": ("tables of actions in Parquet", "'.[parquet]'"),
    "submitit": ("commands as jobs of a cluster", "'.[slurm]'"),
}
"""Modules that are not required: what each gives, and what installs it."""
WEIGHTS = {
    "LPIPS": lpips.WEIGHTS["alex"],
    "FVD": i3d.WEIGHTS,
    "FID": inception.WEIGHTS,
    "DINOv2": dinov2.WEIGHTS,
    "matches": matchers.SUPERPOINT,
}
"""Pretrained weights of metrics."""


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Nothing of it can be set."""


def show_environment(config: EnvConfig) -> None:
    """Print versions, devices, compiled operations, optional libraries and weights; what is missing with what it would give."""
    for title, lines in _sections():
        print(title)
        for line in lines:
            print(f"  {line}")


def _sections() -> Iterator[tuple[str, list[str]]]:
    yield "versions", [*version().splitlines(), *_versions()]
    yield "devices", list(_devices())
    yield "compiled operations", str(status()).splitlines()
    yield "optional libraries", [_optional(name, *told) for name, told in OPTIONAL.items()]
    yield "weights of metrics", [_weights(metric) for metric in WEIGHTS]


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}, {platform.platform()}"
    yield f"torch {torch.__version__}, CUDA {torch.version.cuda or 'not built in'}"
    for name in LIBRARIES:
        yield f"{name} {importlib.metadata.version(name)}"


def _devices() -> Iterator[str]:
    cpu = torch.device("cpu")
    yield f"cpu: {available_cores()} cores, precision=auto is {'bf16' if bf16_is_fast(cpu) else 'fp32'}"
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}: {found.name}, {found.total_memory / 2**30:.0f} GiB, capability {found.major}.{found.minor}"
    if not torch.cuda.is_available():
        yield "cuda: none that torch sees"


def _optional(module: str, gives: str, install: str) -> str:
    if importlib.util.find_spec(module) is None:
        return f"{module} is not installed; it would give {gives}: pip install {install}"
    names = importlib.metadata.packages_distributions().get(module, [module])
    return f"{module} {importlib.metadata.version(names[0])}: {gives}"


def _weights(metric: str) -> str:
    try:
        path = locate(WEIGHTS[metric], download=False)
    except (MissingWeights, EvaluationError) as error:
        return f"{metric}: {error}"
    return f"{metric}: {path.name}, as published"
