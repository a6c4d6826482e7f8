"""Builds the compiled operations where that is possible; without them the torch versions run.

MILLIVID_KERNELS=0 builds nothing, 1 makes every failure an error, auto (the default) builds what it can. What was not
built is named in not_built.json beside the modules, with the reason. Torch is not a build requirement, since pip would
download one that is not the user's; the one that is already installed where this package goes is used.
"""

import json
import os
import runpy
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
MODE = os.environ.get("MILLIVID_KERNELS", "auto")
TARGET = "2.11"
SOURCES = {
    "cpu": ["cpp/block.cpp", "cpp/packing.cpp", "cpp/rms_norm.cpp"],
    "cuda": ["cuda/block.cu", "cuda/packing.cu", "cuda/rms_norm.cu"],
}
NAMES = ("cpu", "cuda")

if MODE not in ("0", "1", "auto"):
    raise SystemExit(
        f"MILLIVID_KERNELS is {MODE!r}; expected 0 (build nothing), 1 (fail where something fails) or auto"
    )


class Unavailable(Exception):
    """Why something cannot be built."""


def find_torch() -> Any:
    """torch.utils.cpp_extension: this environment's, or, in pip's isolated build, that of the environment around it."""
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


def stable_abi(target: str) -> str:
    """A torch version as the number that the headers compare with."""
    major, minor = map(int, target.split("."))
    return f"0x{major:02x}{minor:02x}000000000000"


def extensions() -> tuple[dict[str, Extension], dict[str, str]]:
    """What can be tried, by name, and why the rest cannot. Raises Unavailable where nothing can."""
    if MODE == "0":
        raise Unavailable("it was left out by MILLIVID_KERNELS=0 when building")
    torch = find_torch()
    compiler = os.environ.get("CXX", "g++").split()[0]
    if shutil.which(compiler) is None:
        raise Unavailable(f"no C++ compiler was found while building: {compiler} is not installed, nor named by CXX")
    try:
        import pybind11
    except ImportError:
        raise Unavailable("pybind11 was not installed while building; install it, or use build isolation") from None
    cpp = torch.utils.cpp_extension
    macros = [("TORCH_TARGET_VERSION", stable_abi(TARGET)), ("TORCH_STABLE_ONLY", None)]
    flags = ["-O3", "-std=c++20", "-fopenmp-simd", "-fvisibility=hidden", "-g0"]
    found = {
        "cpu": cpp.CppExtension(
            "millivid.kernels._cpu",
            SOURCES["cpu"],
            include_dirs=[str(HERE / "cpp")],
            define_macros=macros,
            extra_compile_args=flags,
            py_limited_api=True,
        )
    }
    reasons = {}
    if torch.version.cuda is None:
        reasons["cuda"] = f"torch {torch.__version__} is built without CUDA"
    elif cpp.CUDA_HOME is None or not (Path(cpp.CUDA_HOME) / "bin" / "nvcc").is_file():
        reasons["cuda"] = "nvcc was not found while building; install the CUDA toolkit or set CUDA_HOME"
        if MODE == "1":
            raise Unavailable(reasons["cuda"])
    else:
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "8.0;9.0+PTX")
        found["cuda"] = cpp.CUDAExtension(
            "millivid.kernels._cuda",
            SOURCES["cuda"],
            include_dirs=[str(HERE / "cpp"), str(HERE / "cuda")],
            define_macros=[*macros, ("USE_CUDA", None)],
            extra_compile_args={"cxx": flags, "nvcc": ["-O3", "-std=c++20", "--expt-relaxed-constexpr"]},
            py_limited_api=True,
        )
    schemas = runpy.run_path(str(HERE / "src" / "millivid" / "kernels" / "schemas.py"))["DIGEST"]
    info = {
        "MILLIVID_TORCH": torch.__version__,
        "MILLIVID_TORCH_TARGET": TARGET,
        "MILLIVID_CUDA": torch.version.cuda or "" if "cuda" in found else "",
        "MILLIVID_CUDA_ARCHITECTURES": os.environ["TORCH_CUDA_ARCH_LIST"] if "cuda" in found else "",
        "MILLIVID_SCHEMAS": schemas,
    }
    found["build"] = Extension(
        "millivid.kernels._build",
        ["cpp/build_info.cpp"],
        include_dirs=[pybind11.get_include()],
        define_macros=[(key, f'"{value}"') for key, value in info.items()],
        extra_compile_args=["-O2", "-std=c++17", "-g0"],
        language="c++",
    )
    return found, reasons


try:
    EXTENSIONS, REASONS = extensions()
except Unavailable as reason:
    if MODE == "1":
        raise SystemExit(f"MILLIVID_KERNELS is 1, but {reason}") from None
    EXTENSIONS, REASONS = {}, dict.fromkeys(NAMES, str(reason))
for extension in EXTENSIONS.values():
    extension.optional = MODE != "1"
if EXTENSIONS:
    from torch.utils.cpp_extension import BuildExtension as Base
else:
    Base = build_ext


class BuildKernels(Base):  # type: ignore[misc, valid-type]
    """Builds with ninja, goes on without what fails unless MILLIVID_KERNELS=1, and writes down why."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # compilers and torch may have changed, not only the sources

    def run(self) -> None:
        compiler, inplace = self.compiler, self.inplace  # which a run that fails leaves changed
        if EXTENSIONS:
            try:
                super().run()
            except Exception as error:  # of the checks that come before any compiling
                self.compiler, self.inplace = compiler, inplace
                if "cuda" in EXTENSIONS:  # and may have to do with CUDA alone
                    self._give_up(error, ["cuda"])
                    self.extensions.remove(EXTENSIONS.pop("cuda"))
                    return self.run()
                self._give_up(error, list(EXTENSIONS))
        self._write_reasons()

    def build_extension(self, ext: Extension) -> None:
        name = ext.name.rsplit("_", 1)[1]
        try:
            super().build_extension(ext)
        except Exception as error:
            self._give_up(error, [name])

    def _give_up(self, error: Exception, names: list[str]) -> None:
        if MODE == "1":
            raise error
        said = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}"
        for name in NAMES if "build" in names else names:  # without what _build knows, nothing is loaded
            REASONS.setdefault(name, f"it could not be compiled ({said}); MILLIVID_KERNELS=1 pip install -v shows why")

    def _write_reasons(self) -> None:
        source = self.editable_mode or self.inplace
        folder = (Path("src") if source else Path(self.build_lib)) / "millivid" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "not_built.json").unlink(missing_ok=True)
        if REASONS:
            (folder / "not_built.json").write_text(json.dumps(REASONS, indent=2) + "\n")
        for name in (*REASONS, "build") if len(REASONS) == len(NAMES) else REASONS:
            for older in folder.glob(f"_{name}.*so"):
                older.unlink()


setup(
    ext_modules=list(EXTENSIONS.values()) or [Extension("millivid.kernels._none", [], optional=True)],
    cmdclass={"build_ext": BuildKernels},
)
