"""Loading the compiled operations, and saying what was loaded and why the rest was not."""

import json
import os
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from millivid.kernels.schemas import DIGEST

FOLDER = Path(__file__).parent
NOT_BUILT = FOLDER / "not_built.json"


@dataclass(frozen=True, kw_only=True)
class Library:
    """A compiled library: whether it is in use, and one sentence why or why not."""

    name: str
    loaded: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is in use: the libraries for CPU and CUDA, and how they were built (None if they were not).

    build: torch (that it was compiled against), torch_target (the oldest that can load it), compiler, cuda (of nvcc),
    cuda_architectures, schemas (a digest of the operations' signatures).
    """

    libraries: tuple[Library, ...]
    build: dict[str, str] | None

    def __str__(self) -> str:
        lines = ["torch  in use where nothing else is: the reference"]
        lines += [f"{part.name:6} {'in use' if part.loaded else 'not in use'}: {part.why}" for part in self.libraries]
        lines += [f"build  {key}: {value}" for key, value in (self.build or {}).items() if value]
        return "\n".join(lines)


def status() -> Status:
    """What was loaded when this package was imported, and exactly why the rest was not."""
    return _STATUS


def _not_built(name: str) -> str:
    reasons: dict[str, Any] = json.loads(NOT_BUILT.read_text()) if NOT_BUILT.is_file() else {}
    return reasons.get(name, "it was not built; run pip install on millivid-kernels again, with a compiler")


def _load(name: str, build: dict[str, str] | None) -> Library:
    """Load one library, whose operations then take the place of the torch versions for its kind of tensors."""
    if os.environ.get("MILLIVID_KERNELS") == "0":
        return Library(name=name, loaded=False, why="switched off by MILLIVID_KERNELS=0")
    if name == "cuda" and not torch.cuda.is_available():
        return Library(name=name, loaded=False, why="torch sees no CUDA device")
    file = next(iter(sorted(FOLDER.glob(f"_{name}.*so"))), None)
    if file is None or build is None:
        return Library(name=name, loaded=False, why=_not_built(name))
    if build["schemas"] != DIGEST:
        why = f"{file.name} was built for other operations than this version's; install millivid-kernels again"
        return Library(name=name, loaded=False, why=why)
    if name == "cuda" and (too_old := _unfit_devices(build["cuda_architectures"])):
        why = f"{file.name} was built for {build['cuda_architectures']}, and {', '.join(too_old)} needs another; set "
        return Library(name=name, loaded=False, why=why + "TORCH_CUDA_ARCH_LIST and install millivid-kernels again")
    try:
        torch.ops.load_library(str(file))
    except (OSError, RuntimeError) as error:
        why = f"{file.name} cannot be loaded by torch {torch.__version__} ({str(error).splitlines()[0]})"
        return Library(name=name, loaded=False, why=why)
    return Library(name=name, loaded=True, why=f"loaded from {file.name}")


def _unfit_devices(architectures: str) -> list[str]:
    """The GPUs that code for these architectures does not run on, such as "8.0;9.0+PTX"."""
    built = [(int(a), int(b), ptx) for a, b, ptx in re.findall(r"(\d+)\.(\d+)\w?(\+PTX)?", architectures)]
    unfit = []
    for device in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(device)
        if not any((a == major and b <= minor) or (ptx and (a, b) <= (major, minor)) for a, b, ptx in built):
            unfit.append(f"{torch.cuda.get_device_name(device)} ({major}.{minor})")
    return unfit if built else []


def _read_build() -> dict[str, str] | None:
    try:
        return dict(import_module("millivid.kernels._build").info())
    except ImportError:
        return None


def _find() -> Status:
    build = _read_build()
    return Status(libraries=tuple(_load(name, build) for name in ("cpu", "cuda")), build=build)


_STATUS = _find()
