"""The page in a real browser: videos of all runs stand at the frame that the slider and the curves' cursor show."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_eval_sets import MeanColours

from millivid.eval import Evaluation, VideosInMemory, horizons_from, summarise, write_report

for module in ("av", "matplotlib", "PIL", "jinja2"):
    pytest.importorskip(module, reason=f"reports need {module}: pip install {module}")
from PIL import Image  # noqa: E402

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no chromium here: apt-get install chromium")
CONTEXT, TOTAL = 10, 50
POSES = np.array([[0, 0, 0, 30 * frame % 360, 0] for frame in range(TOTAL)], float)


def colour(run: int, frame: int) -> tuple[int, int, int]:
    """Another one for every run and frame."""
    return (frame * 5, 40 + 80 * run, 255 - frame * 5)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose frames each have one colour, moved to a folder of its own without anything beside it."""
    sources = []
    for run in range(3):
        frames = np.array([colour(run, frame) for frame in range(TOTAL)], np.uint8)
        video = np.broadcast_to(frames[:, None, None, :], (TOTAL, 32, 32, 3)).copy()
        videos = {"one": video, "two": video[::-1].copy()}
        sources.append(VideosInMemory(videos, fps=10, poses=dict.fromkeys(videos, POSES)))
    reference, first, second = sources
    runs = {"first": first, "second": second}
    metrics = ["psnr", "ssim", MeanColours()]
    evaluation = Evaluation.of(runs, reference, start=CONTEXT, horizons=horizons_from((8, 40)), metrics=metrics)
    folder = tmp_path_factory.mktemp("page")
    write_report(evaluation, summarise(evaluation, progress=False), folder / "report", title="Colours")
    alone = folder / "alone" / "index.html"
    alone.parent.mkdir()
    shutil.copy(folder / "report" / "index.html", alone)
    return alone


def browse(page: Path, *options: str) -> str:
    done = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=6000", *options],
        capture_output=True, text=True, timeout=120, cwd=page.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("frame", [CONTEXT + 1, 44])
def test_every_run_stands_at_the_frame_that_is_asked_for(page: Path, frame: int) -> None:
    picture = page.with_suffix(f".{frame}.png")
    browse(page, "--window-size=1200,1000", f"--screenshot={picture}", f"{page.as_uri()}#f={frame}")
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    for run in range(3):
        # H.264 keeps colours to a few steps; neighbouring frames lie 5 apart in two channels, in opposite directions.
        near = {
            other: int((np.abs(pixels - colour(run, other)).sum(axis=-1) <= 9).sum())
            for other in (frame - 3, frame, frame + 3)
        }
        assert near[frame] > 10_000 and near[frame - 3] < 1_000 and near[frame + 3] < 1_000, (run, near)


def test_the_cursor_and_the_figures_follow(page: Path) -> None:
    cursors = []
    for frame in (CONTEXT, 30, TOTAL - 1):
        dom = browse(page, "--window-size=1200,1000", "--dump-dom", f"{page.as_uri()}#f={frame}")
        assert f"generated <b>+{frame - CONTEXT + 1}</b>" in dom
        assert not re.search(r'<video[^>]*src="(?!data:)', dom)
        cursor = re.search(r'class="cursor"[^>]*x1="([\d.]+)"', dom)
        assert cursor is not None
        cursors.append(float(cursor[1]))
        # The second channel is 80 steps off in the first run: 20 log10(255 / 80) + 10 log10(3) = 14.84 dB.
        assert "<b>14.84</b>" in dom
    assert cursors[0] < cursors[1] < cursors[2]
    assert cursors[1] - cursors[0] == pytest.approx((cursors[2] - cursors[0]) * 20 / 39, abs=0.5)
    assert "context <b>4</b>/10" in browse(page, "--dump-dom", f"{page.as_uri()}#f=3")


def test_sets_and_memory_have_their_sections(page: Path) -> None:
    dom = browse(page, "--dump-dom", page.as_uri())
    sections = {name: dom[dom.index(f'id="{name}"') :] for name in ("h-table", "h-memory")}
    assert "Fréchet distance" in sections["h-table"].split("</section>")[0]
    assert (
        "20 (few)" not in sections["h-table"] and ">16<" in sections["h-table"]
    )  # 2 videos of 8 windows in the long horizon
    memory = sections["h-memory"].split("</section>")[0]
    # Directions 0 to 9 of 12 are in the context; 10 and 11 come at frames 10, 11, and again.
    assert "never seen" in memory and "14.84" in memory and "<img" in memory and "seen 1–16 frames ago" in memory
