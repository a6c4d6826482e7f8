"""Compile the operations in another way than pip does: `python csrc/tests/build_variant.py VARIANT OUT`.

sanitized: the CPU operations under AddressSanitizer and UndefinedBehaviorSanitizer, as a library. emulated: the CUDA
operations, run on the CPU by cuda_on_cpu.h, as a library. Tests load either in place of the installed one, see conftest.py.
cuda_objects: every CUDA source by nvcc, for sm_80, sm_90 and as PTX, into a folder; needs no GPU, and no torch with CUDA.
"""

import subprocess
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent
TORCH = Path(torch.__file__).parent
COMMON = ["-std=c++20", "-fPIC", "-fopenmp-simd", "-fvisibility=hidden", "-Wno-unknown-pragmas", "-Wno-psabi", "-g"]
DEFINES = ["-DTORCH_TARGET_VERSION=0x020b000000000000", "-DTORCH_STABLE_ONLY"]
INCLUDES = [f"-I{CSRC / 'cpp'}", f"-I{CSRC / 'cuda'}", f"-I{HERE}", f"-I{TORCH / 'include'}"]
VARIANTS = {
    "sanitized": (
        sorted(CSRC.glob("cpp/*.cpp")),
        # Without clones per instruction set: the sanitizer is not ready when the loader chooses among them.
        ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-DMILLIVID_NO_CLONES"],
    ),
    "emulated": ([CSRC / "cpp" / "operations.cpp", *sorted(CSRC.glob("cuda/*.cu"))], ["-O1", "-DMILLIVID_EMULATED"]),
}


ARCHITECTURES = ["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=[sm_90,compute_90]"]


def compile_cuda(folder: Path) -> None:
    """Compile every CUDA source; raises CalledProcessError where the compiler does."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = ["-std=c++20", "-O3", "--expt-relaxed-constexpr", "-Xcompiler", "-fPIC", "-DUSE_CUDA", *ARCHITECTURES]
    for source in sorted((CSRC / "cuda").glob("*.cu")):
        out = folder / f"{source.stem}.o"
        subprocess.run(["nvcc", *flags, *DEFINES, *INCLUDES, "-c", str(source), "-o", str(out)], check=True)
        print(f"{source.name}: sm_80, sm_90 and PTX")


def build(kind: str, out: Path) -> None:
    """Compile a library; raises CalledProcessError where the compiler does."""
    sources, flags = VARIANTS[kind]
    command = [
        "g++",
        "-shared",
        *COMMON,
        *DEFINES,
        "-DMILLIVID_DEVICE=CPU",
        *flags,
        *INCLUDES,
        "-x",
        "c++",
        *map(str, sources),
    ]
    libraries = [f"-L{TORCH / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10"]
    subprocess.run([*command, "-x", "none", *libraries, "-o", str(out)], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "cuda_objects":
        compile_cuda(Path(sys.argv[2]))
    else:
        build(sys.argv[1], Path(sys.argv[2]))
