"""The distribution `millivid`: every package of this repository, with what each declares in its own pyproject.toml."""

import re
import runpy
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from setuptools import find_namespace_packages, setup

REQUIRES = ["millivid-app"]  # and with it all the others
EXTRAS = {
    "networks": ["millivid-eval[networks]"],
    "onnx": ["millivid-export[onnx]"],
    "parquet": ["millivid-data[parquet]"],
    "play": ["millivid-play"],
    "slurm": ["millivid-app[slurm]"],
    "training": ["millivid-training[deepspeed,wandb]"],
    "web": ["millivid-export[web]"],
    "worlds": ["millivid-data-gen[vizdoom]"],
}
FOLDERS = [*sorted(Path("packages").iterdir()), Path("csrc"), Path("data_gen")]
DECLARED: dict[Path, dict[str, Any]] = {
    folder: tomllib.loads((folder / "pyproject.toml").read_text())
    for folder in FOLDERS
    if (folder / "pyproject.toml").is_file()
}
PROJECTS = {declared["project"]["name"]: declared["project"] for declared in DECLARED.values()}


def expand(requirements: Iterable[str]) -> list[str]:
    """Requirements, those for packages of this repository replaced by what they require themselves."""
    found = []
    for requirement in requirements:
        ours = re.match(r"(millivid-[a-z-]+)(?:\[([a-z,]+)\])?", requirement)
        if ours is None:
            found.append(requirement)
        else:
            project = PROJECTS[ours[1]]
            found += expand(project["dependencies"])
            for extra in ours[2].split(",") if ours[2] else ():
                found += expand(project["optional-dependencies"][extra])
    return list(dict.fromkeys(found))


def entry_points() -> dict[str, list[str]]:
    """Commands and plug-ins of all packages, as setuptools writes them."""
    found: dict[str, list[str]] = {}
    for project in PROJECTS.values():
        groups = {"console_scripts": project.get("scripts", {})} | project.get("entry-points", {})
        for group, entries in groups.items():
            found.setdefault(group, []).extend(f"{name} = {value}" for name, value in entries.items())
    return found


core = expand(REQUIRES)
sources = {folder: find_namespace_packages(str(folder / "src")) for folder in DECLARED}
data = [
    patterns for declared in DECLARED.values() for patterns in declared["tool"]["setuptools"]["package-data"].values()
]
kernels = runpy.run_path("csrc/setup.py")
with tempfile.TemporaryDirectory() as build:  # in ./build a module that has been deleted since would live on
    setup(
        install_requires=core,
        extras_require={
            extra: [requirement for requirement in expand(requirements) if requirement not in core]
            for extra, requirements in EXTRAS.items()
        },
        entry_points=entry_points(),
        packages=sorted({name for names in sources.values() for name in names}),
        package_dir={
            name: (folder / "src" / name.replace(".", "/")).as_posix()
            for folder, names in sources.items()
            for name in names
        },
        package_data={"": sorted({pattern for patterns in data for pattern in patterns})},
        ext_modules=kernels["EXTENSION_MODULES"],
        cmdclass={"build_ext": kernels["BuildKernels"]},
        options={"build": {"build_base": build}},
    )
