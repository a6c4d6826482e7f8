"""Builds the compiled operations where that is possible; without them the torch versions run.

MILLIVID_KERNELS=0 builds nothing, 1 makes every failure an error, auto (the default) builds what it can. build.json, beside
the modules, says how the libraries were built, and why those that are not there were not. Torch is not a build
requirement, since pip would download one that is not the user's; the one that is already installed where this package goes
is used.
"""

import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
FOLDER = Path(os.path.relpath(HERE))  # setuptools takes relative paths; "csrc" where the root's setup.py runs this
MODE = os.environ.get("MILLIVID_KERNELS", "auto")
TORCH_TARGET = "2.11"
MACROS = [("TORCH_TARGET_VERSION", "0x020b000000000000"), ("TORCH_STABLE_ONLY", None)]  # 0x020b: 2.11
FLAGS = ["-O3", "-std=c++20", "-fopenmp-simd", "-fvisibility=hidden", "-g0"]
NAMES = ("cpu", "cuda")

if MODE not in ("0", "1", "auto"):
    raise SystemExit(
        f"MILLIVID_KERNELS is {MODE!r}; expected 0 (build nothing), 1 (fail where something fails) or auto"
    )


class Unavailable(Exception):
    """Why something cannot be built."""


def find_torch() -> Any:
    """torch with its cpp_extension: this environment's, or, in pip's isolated build, that of the environment around it."""
    try:
        import torch.utils.cpp_extension
    except ImportError:
        sys.path += [sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")]
        try:
            import torch.utils.cpp_extension
        except ImportError as error:
            raise Unavailable(
                f"torch could not be imported while building ({error}); install torch first, then this package again, "
                "with --no-build-isolation if need be"
            ) from None
    return torch


def find_compiler() -> str:
    compiler = os.environ.get("CXX", "g++").split()[0]
    if shutil.which(compiler) is None:
        raise Unavailable(f"no C++ compiler was found while building: {compiler} is not installed, nor named by CXX")
    return compiler


def cpu_library(torch: Any) -> Extension:
    return torch.utils.cpp_extension.CppExtension(
        "millivid.kernels._cpu",
        sorted(map(str, FOLDER.glob("cpp/*.cpp"))),
        include_dirs=[str(HERE / "cpp")],
        define_macros=[*MACROS, ("MILLIVID_DEVICE", "CPU")],
        extra_compile_args=FLAGS,
        py_limited_api=True,
    )


def cuda_library(torch: Any) -> Extension:
    home = torch.utils.cpp_extension.CUDA_HOME
    if home is None or not (Path(home) / "bin" / "nvcc").is_file():
        raise Unavailable("nvcc was not found while building; install the CUDA toolkit or set CUDA_HOME")
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "8.0;9.0+PTX")
    return torch.utils.cpp_extension.CUDAExtension(
        "millivid.kernels._cuda",
        [str(FOLDER / "cpp" / "operations.cpp"), *sorted(map(str, FOLDER.glob("cuda/*.cu")))],
        include_dirs=[str(HERE / "cpp"), str(HERE / "cuda")],
        define_macros=[*MACROS, ("MILLIVID_DEVICE", "CUDA"), ("USE_CUDA", None)],
        extra_compile_args={"cxx": FLAGS, "nvcc": ["-O3", "-std=c++20", "--expt-relaxed-constexpr"]},
        py_limited_api=True,
    )


EXTENSIONS: dict[str, Extension] = {}
REASONS: dict[str, str] = {}
"""Why a library is not built."""
BUILD: dict[str, str] = {}
"""How the others are."""
Base = build_ext
try:
    if MODE == "0":
        raise Unavailable("it was left out by MILLIVID_KERNELS=0 when building")
    torch, compiler = find_torch(), find_compiler()
    Base = torch.utils.cpp_extension.BuildExtension
    EXTENSIONS["cpu"] = cpu_library(torch)
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    BUILD = {"torch": torch.__version__, "torch_target": TORCH_TARGET, "compiler": version.partition("\n")[0]}
    BUILD["schemas"] = runpy.run_path(str(HERE / "src" / "millivid" / "kernels" / "schemas.py"))["DIGEST"]
    if torch.version.cuda is None:
        REASONS["cuda"] = f"torch {torch.__version__} is built without CUDA"
    else:
        EXTENSIONS["cuda"] = cuda_library(torch)
        BUILD |= {"cuda": torch.version.cuda, "cuda_architectures": os.environ["TORCH_CUDA_ARCH_LIST"]}
except Unavailable as reason:
    if MODE == "1":
        raise SystemExit(f"MILLIVID_KERNELS is 1, but {reason}") from None
    REASONS = {name: str(reason) for name in NAMES if name not in EXTENSIONS}


class BuildKernels(Base):  # type: ignore[misc, valid-type]
    """Builds each library by itself, goes on without what fails unless MILLIVID_KERNELS=1, and writes build.json."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # compilers and torch may have changed, not only the sources

    def run(self) -> None:
        compiler, inplace, built = self.compiler, self.inplace, []
        for name, extension in EXTENSIONS.items():
            self.extensions, self.compiler, self.inplace = [extension], compiler, inplace  # which a run changes
            try:
                super().run()
                built.append(extension)
            except Exception as error:
                if MODE == "1":
                    raise
                said = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}"
                REASONS[name] = f"it could not be compiled ({said}); MILLIVID_KERNELS=1 pip install -v shows why"
        self.extensions = built
        source = self.editable_mode or inplace
        folder = (HERE / "src" if source else Path(self.build_lib)) / "millivid" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        for older in (path for name in REASONS for path in folder.glob(f"_{name}.*so")):
            older.unlink()
        (folder / "build.json").write_text(
            json.dumps({"build": BUILD if built else {}, "not_built": REASONS}, indent=2) + "\n"
        )


# Without any extension setuptools would not run BuildKernels, which has to say why there is none.
EXTENSION_MODULES = list(EXTENSIONS.values()) or [Extension("millivid.kernels._none", [])]

if __name__ == "__main__":
    setup(ext_modules=EXTENSION_MODULES, cmdclass={"build_ext": BuildKernels})
