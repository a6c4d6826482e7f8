"""A schedule of another distribution is found, planned, trained with and sampled with, without an edit of ours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from millivid.app.cli import main
from millivid.data import ClipDataset
from millivid.rollout import make_schedule, schedule_names

PACKAGE = Path(__file__).parents[3] / "tests" / "keyframes_schedule"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the distribution `keyframes-schedule` for this test alone."""
    shutil.copytree(PACKAGE, tmp_path / "source")
    words = ["--no-deps", "--no-build-isolation", "--target", str(tmp_path / "site"), str(tmp_path / "source")]
    pip = subprocess.run([sys.executable, "-m", "pip", "install", "-q", *words], capture_output=True, text=True)
    assert pip.returncode == 0, pip.stderr
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def test_it_is_unknown_before(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "schedule=keyframes"]) == 2
    assert "there is no schedule 'keyframes'" in capsys.readouterr().err


@pytest.mark.usefixtures("installed")
def test_the_whole_way(walk: Path, tmp_path: Path) -> None:
    assert "keyframes" in schedule_names()
    assert make_schedule("keyframes", stride=5).chunk((16, 4, 1)).num_context_frames == 17
    assert main(f"plan schedule=keyframes schedule.stride=5 out={tmp_path}/plan.png".split()) == 0
    assert (tmp_path / "plan.png").stat().st_size > 1000
    words = "experiment=tiny_millivid schedule=keyframes schedule.stride=5 group_shares=null"
    words += " training.steps=2 training.batch_size=2"
    assert main(f"train diffusion {words} data={walk}/latents out={tmp_path}/run".split()) == 0
    about = json.loads((tmp_path / "run" / "model" / "video_model.json").read_text())
    assert about["schedule"] == {"name": "keyframes", "recent": 2, "keyframes": 3, "stride": 5}
    words = f"tokenizer={walk}/tokenizer/model model={tmp_path}/run/model steps=2 context=17 frames=3 count=1"
    assert main(f"generate data={walk}/clips {words} out={tmp_path}/generated".split()) == 0
    generated = ClipDataset(tmp_path / "generated")
    assert [generated.num_frames(id) for id in generated.ids()] == [20]
