"""The page in a real browser and against a real server: keys, the past, the truth, other minds, phones, lost connections."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millivid.app.pipeline_folder import RUNS, WEIGHTS
from millivid.data import ClipDataset, write_video
from millivid.diffusion import VideoModelInfo
from millivid.play import in_a_world

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOWN = "document.getElementById('views').dataset.shown"


def serve(folder: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """`millivid play` in a folder, and the address that it tells."""
    command = [sys.executable, "-c", "import sys; from millivid.app.cli import main; sys.exit(main())", "play"]
    process = subprocess.Popen([*command, "open=false", *words], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = re.search(r"http://\S+", process.stdout.readline())
    assert address, "it tells no address"
    return process, address[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("play")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    process, address = serve(folder, "port=0", "sessions=4")
    yield address
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in (0, 130)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    yield from opened(browser, address)


def opened(browser: Any, address: str, **settings: Any) -> Iterator[Any]:
    """A page that has begun, and at its end has told of no error."""
    context = browser.new_context(bypass_csp=True, **settings)  # which the test's own scripts would offend
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(address)
    page.wait_for_function(SHOWN)
    yield page
    context.close()
    assert [error for error in errors if "favicon" not in error and "ERR_CONNECTION" not in error] == []


KEEP_PICTURES = """() => {
    window.kept = {};
    const handlers = window.millivid.engine.handlers, show = handlers.image;
    handlers.image = (place, number, ...rest) => {
        show(place, number, ...rest);
        const canvas = document.querySelector('#views canvas');
        window.kept[number] = canvas.getContext('2d').getImageData(0, 0, 64, 64).data.join();
    };
}"""


def shown(page: Any) -> int:
    """How many frames of the walk were shown."""
    return int(page.evaluate(SHOWN))


def wait_until_shown(page: Any, count: int) -> None:
    page.wait_for_function(f"{SHOWN} >= {count}", timeout=30_000)


def walk(page: Any, key: str, frames: int) -> None:
    """Hold a key for about so many frames."""
    start = shown(page)
    page.keyboard.down(key)
    wait_until_shown(page, start + frames)
    page.keyboard.up(key)
    settle(page)


def settle(page: Any) -> None:
    """Wait until what was on its way has come, the rest of an action that was begun included."""
    before = -1
    while shown(page) != before:
        before = shown(page)
        time.sleep(0.5)
    page.wait_for_function(f"window.millivid.state?.shown == {SHOWN}")


def picture(page: Any, place: int = 0) -> list[int]:
    """The pixels of one of the pictures."""
    script = """place => { const c = document.querySelectorAll('#views canvas')[place];
        return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; }"""
    return page.evaluate(script, place)


def test_keys_walk_and_letting_go_stops(page: Any) -> None:
    start = shown(page)
    before = picture(page)
    walk(page, "ArrowUp", 12)
    assert shown(page) >= start + 12 and picture(page) != before
    stopped = shown(page)
    time.sleep(0.4)
    assert shown(page) == stopped
    walk(page, "a", 4)
    assert shown(page) > stopped


def test_a_change_of_key_is_answered(page: Any) -> None:
    """Figures, not thresholds: two cores that may have other work."""
    wait = 12
    for key in ("ArrowUp", "ArrowLeft", "ArrowUp", "ArrowRight") * 3:
        walk(page, key, wait)
    delays = sorted(page.evaluate("window.millivid.delays"))
    page.keyboard.down("ArrowUp")
    wait_until_shown(page, shown(page) + 90)
    times = page.evaluate("window.millivid.arrivals")
    page.keyboard.up("ArrowUp")
    rate = (len(times) - 1) / (times[-1] - times[0]) * 1000
    print(f"\n{rate:.1f} frames/s; key to picture: median {delays[len(delays) // 2]:.0f} ms, most {delays[-1]:.0f} ms")
    assert len(delays) == 12 and delays[0] > 0 and len(times) > 30


def test_going_back_and_on_again_gives_the_same_pictures(page: Any) -> None:
    page.evaluate(KEEP_PICTURES)
    walk(page, "ArrowUp", 20)
    end = shown(page)
    first = page.evaluate("Object.fromEntries(Object.entries(window.kept))")
    page.evaluate("window.kept = {}; window.millivid.engine.rewind(0)")
    page.wait_for_function(f"{SHOWN} < {end}")
    settle(page)
    assert shown(page) == page.evaluate("window.millivid.settings.context")
    walk(page, "ArrowUp", 20)
    again = page.evaluate("window.kept")
    both = [number for number in first if number in again and int(number) >= shown(page) - 20]
    assert len(both) >= 15 and [first[number] for number in both] == [again[number] for number in both]


def test_a_click_into_the_past_goes_there(page: Any) -> None:
    walk(page, "ArrowUp", 24)
    end = shown(page)
    memory = page.locator("#memory")
    box = memory.bounding_box()
    state = page.evaluate("window.millivid.state")
    columns = len(state["memory"]["cells"][0])
    frame = end - 12
    memory.click(position={"x": box["width"] * (frame - state["memory"]["first"] + 0.5) / columns, "y": 40})
    page.wait_for_function(f"{SHOWN} < {end}")
    settle(page)
    assert abs(shown(page) - frame) <= 2


def test_the_truth_beside_it_and_its_figure(page: Any) -> None:
    page.keyboard.press("t")
    walk(page, "ArrowUp", 6)
    assert page.locator("#views figcaption").all_inner_texts() == ["millivid", "the world itself"]
    assert picture(page, 1) != picture(page, 0)
    page.wait_for_function("document.getElementById('psnr').textContent.endsWith('dB')")


def test_three_minds_see_the_same_keys(page: Any) -> None:
    page.keyboard.press("m")
    page.wait_for_function("window.millivid.settings.minds.length == 3")
    walk(page, "ArrowUp", 6)
    pictures = [picture(page, place) for place in range(3)]
    assert pictures[0] != pictures[1] != pictures[2]


def test_a_walk_is_saved_and_shared(page: Any, folder: Path) -> None:
    walk(page, "ArrowUp", 8)
    count = shown(page)
    page.click("#save")
    page.wait_for_function("document.getElementById('told').textContent.startsWith('Saved in')")
    saved = Path(page.inner_text("#told").removeprefix("Saved in ").rstrip("."))
    clip = ClipDataset(folder / saved / "millivid").read("walk")
    assert len(clip) == count
    page.click("#mp4")
    page.wait_for_selector("#told a")
    with page.expect_download() as download:
        page.click("#told a")
    assert download.value.suggested_filename.endswith(".mp4")


def test_with_the_keyboard_alone(page: Any) -> None:
    page.keyboard.press("Tab")
    names = []
    for _ in range(16):
        names.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.action"))
        page.keyboard.press("Tab")
    for name in ("forward", "left", "right", "pause", "restart", "seed", "save", "gif", "mp4", "memory"):
        assert name in names, names
    page.focus('[data-action="forward"]')
    start = shown(page)
    page.keyboard.down("Enter")
    wait_until_shown(page, start + 6)
    page.keyboard.up("Enter")
    settle(page)
    end = shown(page)
    page.focus("#memory")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"{SHOWN} < {end}")


def test_a_phone(browser: Any, address: str) -> None:
    for page in opened(browser, address, viewport={"width": 390, "height": 780}, has_touch=True):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        box = page.locator('[data-action="forward"]').bounding_box()
        start = shown(page)
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        wait_until_shown(page, start + 5)
        page.mouse.up()


def test_a_gamepad(page: Any) -> None:
    page.evaluate("window.pad = { axes: [0, 0], buttons: [] }; navigator.getGamepads = () => [window.pad]")
    start = shown(page)
    page.evaluate("window.pad.axes = [0, -1]")
    wait_until_shown(page, start + 5)
    page.evaluate("window.pad.axes = [0, 0]")
    settle(page)
    stopped = shown(page)
    page.evaluate("window.pad.buttons[15] = { pressed: true }")  # of the cross, to the right
    page.wait_for_selector(".right.held")
    wait_until_shown(page, stopped + 5)


def test_a_video_of_ones_own(browser: Any, tmp_path: Path) -> None:
    walked = in_a_world(VideoModelInfo.read(WEIGHTS / RUNS[0]), 3)
    write_video(tmp_path / "walk.mp4", walked.frames, 20)
    actions = ",".join(("forward", "left", "right")[action] for action in walked.actions)
    process, address = serve(tmp_path, "port=0", "start=walk.mp4", f"actions={actions}")
    for page in opened(browser, address):
        assert page.locator("#truth").is_hidden()  # nobody knows what is true there
        assert shown(page) == len(walked.frames)
        walk(page, "ArrowUp", 5)
    process.kill()
    process.wait()


def test_a_lost_connection_comes_back(browser: Any, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process, address = serve(tmp_path, f"port={port}")
    for page in opened(browser, address):
        walk(page, "ArrowUp", 5)
        process.kill()
        process.wait()
        page.wait_for_function("document.getElementById('told').textContent.includes('trying again')")
        process, _ = serve(tmp_path, f"port={port}")
        page.wait_for_function("document.getElementById('told').textContent.startsWith('Hold')", timeout=60_000)
        walk(page, "ArrowUp", 5)
    process.kill()
    process.wait()
