"""Every line of a README that installs something, in an environment that holds nothing, and then a use of what it brought."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), *sorted(ROOT.glob("packages/*/README.md"))]
FOUND = [re.findall(r"^pip install .*|(?<=`)pip install [^`]+", file.read_text(), re.MULTILINE) for file in READMES]
LINES = sorted({line.split("  #")[0].strip() for lines in FOUND for line in lines})
NEEDS_MORE = ['pip install "minerl==0.4.4" "numpy<2"']  # a Java kit, an older setuptools and the game
EXTRAS = {  # a module that each extra is for
    "cli": "millivid.data",
    "deepspeed": "deepspeed",
    "diffusion[train]": "millivid.diffusion.train",
    "draw": "matplotlib",
    "images": "PIL",
    "inspect": "jinja2",
    "models": "millivid.files.pretrained",
    "networks": "kornia",
    "onnx": "millivid.export.to_onnx",
    "play": "millivid.play.play",
    "report": "millivid.eval.reporting",
    "slurm": "submitit",
    "tokenizer[train]": "millivid.tokenizer.train",
    "training": "deepspeed",
    "wandb": "wandb",
    "web": "millivid.export.site",
    "worlds": "vizdoom",
}
EVERY_MODULE = """
import importlib, pkgutil, millivid
for module in pkgutil.walk_packages(millivid.__path__, "millivid."):
    if not module.name.endswith("__main__") and not module.name.startswith(("millivid.play", "millivid.export")):  # extras
        importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout, without what was built in it, as a repository of their own."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "as it is")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def run(tmp_path: Path, checkout: Path) -> Iterator[Callable[..., str]]:
    """Runs a line of shell in a new, empty environment."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    versions = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_NO_COMPILE": "1"}
    environment = kept | versions | {"PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def run(line: str, cwd: Path = checkout) -> str:
        done = subprocess.run(line, shell=True, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    yield run
    shutil.rmtree(tmp_path / "venv")  # a gigabyte each


def modules(words: list[str]) -> list[str]:
    """What can be imported after an install line: the packages that it names, and a module for each of their extras."""
    wanted = []
    for place, extras in (re.fullmatch(r"(.*?)(?:\[(.*)\])?", word).groups() for word in words):
        name = place.rpartition("/")[2]
        if place.startswith("./") and name != "*":
            wanted.append("millivid.kernels" if name == "csrc" else f"millivid.{name}")
        elif re.fullmatch(r"\w+", place):
            wanted.append(place)
        for extra in extras.split(",") if extras else ():
            wanted.append(EXTRAS.get(f"{name}[{extra}]") or EXTRAS[extra])
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in LINES if line not in NEEDS_MORE])
def test_a_line_that_installs(line: str, run: Callable[..., str], checkout: Path, tmp_path: Path) -> None:
    run(re.sub(r"git\+https://\S+", f"git+file://{checkout}", line))
    words = shlex.split(line)[2:]
    if words[0] == "--no-deps":
        return
    run("pip check")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in modules(words):
        run(f"python -c 'import {name}'", elsewhere)
    if words[0].split("[")[0] == "." or words[0].startswith("git+") or "./packages/*" in words:
        run(f"python -c '{EVERY_MODULE}'", elsewhere)
        assert "0.1.0" in run("millivid --version", elsewhere)
    if words == ["."]:  # weights, worlds, schedules, settings and templates are there
        run("millivid demo test_videos=2 frames=16 out=demo", elsewhere)
        assert "<video" in (elsewhere / "demo" / "index.html").read_text()
