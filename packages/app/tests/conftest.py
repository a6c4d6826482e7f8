"""The README's walk through the commands, run once, small, for the tests that need what it leaves."""

import re
from pathlib import Path

import pytest

from millivid.app.cli import main

README = Path(__file__).parents[1] / "README.md"
SMALLER = {
    "data": ("train_videos=3", "test_videos=2", "test_candidates=1", "processes=1"),
    "train": ("training.steps=2",),
    "generate": ("steps=2",),
}


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every `millivid` line of the README was run: clips, latents, models, report, plan.png."""
    folder = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        install, *blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
        assert install.startswith("pip install ") and len(blocks) == 1
        for line in blocks[0].splitlines():
            program, *words = line.split()
            assert program == "millivid"
            words = [word for word in words if "train_videos" not in word]
            assert main([*words, *SMALLER.get(words[0], ())]) == 0, line
    return folder
