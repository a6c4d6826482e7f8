"""What holds for the repository as a whole."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = [*sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")), ROOT / "csrc", ROOT / "data_gen"]


def test_the_namespace_has_no_init_file() -> None:
    assert not list(ROOT.glob("**/src/millivid/__init__.py"))


def test_every_package_is_a_house_of_its_own() -> None:
    assert len(PACKAGES) == 13
    for package in PACKAGES:
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
        for name in ("README.md", "CHANGELOG.md", "tests"):
            assert (package / name).exists(), f"{package.name} has no {name}"
        assert list(package.glob("src/millivid/*/py.typed"))


def test_what_packages_require_is_locked() -> None:
    lines = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"]
    locked = {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in lines}
    for package in PACKAGES:
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        for extra in [project["dependencies"], *project["optional-dependencies"].values()]:
            for requirement in map(Requirement, extra):
                name = canonicalize_name(requirement.name)
                if not name.startswith("millivid-"):
                    assert name in locked, f"{package.name} requires {name}, which is not in constraints.txt: make lock"
                    assert requirement.specifier.contains(locked[name]), f"{requirement}, {locked[name]}: make lock"


def test_the_ways_that_the_architecture_tells_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    ways = re.findall(r"\n## (A .*)\n\n((?:\d+\. .*\n)+)", text)
    assert len(ways) == 5
    for title, lines in ways:
        assert len(lines.splitlines()) <= 10, title
    for path, name in re.findall(r"`((?:packages|csrc|data_gen)/[^`]*)`(?:: `(\w+)`)?", text):
        assert (ROOT / path).exists(), path
        if name and not path.endswith("cli.py"):
            assert re.search(rf"(def|class) {name}\b", (ROOT / path).read_text()), f"{path} has no {name}"


def test_what_others_read_of_the_repository_can_be_read() -> None:
    files = [ROOT / "CITATION.cff", *ROOT.glob(".github/**/*.yml")]
    assert len(files) == 5
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text()), dict), file
    steps = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())["jobs"]["publish"]["steps"]
    assert {"run": "millivid export web out=site"} in steps  # which the tests of packages/export run
    commands = re.findall(r"^make (\w+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert commands and set(commands) <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
