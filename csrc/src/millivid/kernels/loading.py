"""Loading the compiled operations, and saying what was loaded and why the rest was not."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from millivid.kernels.schemas import DIGEST

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Library:
    """A compiled library: whether it is in use, and one sentence why or why not."""

    name: str
    loaded: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is in use: the libraries for CPU and CUDA, and how they were built (None if they were not).

    build: torch (that it was compiled against), torch_target (the oldest that can load it), compiler, schemas (a digest of
    the operations' signatures), and where CUDA was compiled too, cuda (of torch) and cuda_architectures.
    """

    libraries: tuple[Library, ...]
    build: dict[str, str] | None

    def __str__(self) -> str:
        lines = ["torch  in use where nothing else is: the reference"]
        lines += [f"{part.name:6} {'in use' if part.loaded else 'not in use'}: {part.why}" for part in self.libraries]
        lines += [f"build  {key}: {value}" for key, value in (self.build or {}).items()]
        return "\n".join(lines)


def status() -> Status:
    """What was loaded when this package was imported, and exactly why the rest was not."""
    return _STATUS


def find() -> Status:
    """Load what can be loaded of the libraries that build.json, which is written when they are built, tells of."""
    file = FOLDER / "build.json"
    kept = json.loads(file.read_text()) if file.is_file() else {"build": {}, "not_built": {}}
    libraries = []
    for name in ("cpu", "cuda"):
        why_not = _why_not(name, kept["build"], kept["not_built"])
        why = f"loaded from {_library_file(name)}" if why_not is None else why_not
        libraries.append(Library(name=name, loaded=why_not is None, why=why))
    return Status(libraries=tuple(libraries), build=kept["build"] or None)


def _library_file(name: str) -> str | None:
    return next((path.name for path in sorted(FOLDER.glob(f"_{name}.*so"))), None)


def _why_not(name: str, build: dict[str, str], not_built: dict[str, str]) -> str | None:
    """Load a library, whose operations then take the place of the torch versions for its tensors; or say why not."""
    if os.environ.get("MILLIVID_KERNELS") == "0":
        return "switched off by MILLIVID_KERNELS=0"
    if name == "cuda" and not torch.cuda.is_available():
        return "torch sees no CUDA device"
    file = _library_file(name)
    if file is None or not build:
        return not_built.get(name, "it was not built; run pip install on millivid-kernels again, with a compiler")
    if build["schemas"] != DIGEST:
        return f"{file} was built for other operations than this version's; install millivid-kernels again"
    if name == "cuda" and (unfit := _unfit_devices(build["cuda_architectures"])):
        return (
            f"{file} was built for {build['cuda_architectures']}, and {', '.join(unfit)} needs another; set "
            "TORCH_CUDA_ARCH_LIST and install millivid-kernels again"
        )
    try:
        torch.ops.load_library(str(FOLDER / file))
    except (OSError, RuntimeError) as error:
        return f"{file} cannot be loaded by torch {torch.__version__} ({str(error).splitlines()[0]})"
    return None


def _unfit_devices(architectures: str) -> list[str]:
    """The GPUs that code for these architectures does not run on, such as "8.0;9.0+PTX"."""
    built = [(int(a), int(b), ptx) for a, b, ptx in re.findall(r"(\d+)\.(\d+)\w?(\+PTX)?", architectures)]
    unfit = []
    for device in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(device)
        if not any((a == major and b <= minor) or (ptx and (a, b) <= (major, minor)) for a, b, ptx in built):
            unfit.append(f"{torch.cuda.get_device_name(device)} ({major}.{minor})")
    return unfit if built else []


_STATUS = find()
