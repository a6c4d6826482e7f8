"""The site in a real browser: the same plans, noise and frames as in Python, keys, the past, no network, damaged files."""

import functools
import http.server
import json
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import millivid.diffusion.live
from millivid.app import VideoPipeline
from millivid.app.cli import main
from millivid.export.player import normal
from millivid.export.steps import roles
from millivid.rollout import Chunk, LivePlan, cuts, make_schedule

from .portable import PortableNoise

site_module = pytest.importorskip("millivid.export.site", reason="the extra web is not installed", exc_type=ImportError)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEYS = [(0, 12), (1, 3), (0, 9), (2, 6), (0, 15), (1, 9), (0, 10)]
"""Recorded keys: an action, and for how many frames it is held."""
SHOWN = "document.getElementById('views').dataset.shown"


@pytest.fixture(scope="module")
def pipeline() -> VideoPipeline:
    return VideoPipeline.from_pretrained("tiny", precision="fp32")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the README's command makes it, of two worlds."""
    out = tmp_path_factory.mktemp("web") / "site"
    try:
        site_module.export(site_module.ExportWebConfig(out=out, worlds=(0, 5)))
    except ValueError as error:
        if "npm" not in str(error):
            raise
        pytest.skip(f"no onnxruntime-web: {error}")
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Files(http.server.SimpleHTTPRequestHandler):
    """As `python -m http.server` serves them, in silence."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Any]:
    """Serves a folder, and gives its address and how to stop."""
    servers = []

    def start(folder: Path, files: type[Files] = Files) -> tuple[str, Any]:
        handler = functools.partial(files, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def stop() -> None:
            server.shutdown()
            server.server_close()

        return f"http://127.0.0.1:{server.server_port}/", stop

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def page(browser: Any, serve: Any, site: Path) -> Iterator[Any]:
    """The site, begun; at its end it has told of no error."""
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(serve(site)[0])
    page.wait_for_function(SHOWN, timeout=120_000)
    yield page
    page.close()
    assert [error for error in errors if "favicon" not in error] == []


def plan_of(chunk: Chunk) -> dict[str, Any]:
    """What a site's plan says of a chunk, as far as the live planner reads it."""
    sizes = {"first": chunk.target_start, "frames": chunk.num_frames, "kept": chunk.num_kept_frames}
    return {"steps": [{"roles": roles(step)} for step in chunk.steps], "chunk": sizes | {"levels": chunk.num_levels}}


def recorded(chunk: Chunk, seed: int) -> tuple[list[list[Any]], list[list[int]]]:
    """Events of a walk (a step is run, or the action changes after so many frames), and the plan after each."""
    rng, live = random.Random(seed), LivePlan(chunk=chunk, first=chunk.num_context_frames + 3)
    shown, events, plans = live.first, [], []
    for _ in range(120):
        shown = rng.randint(shown, live.finished)
        if rng.random() < 0.15:
            live = live.change(shown)
            events.append(["change", shown])
        else:
            live = live.ran()
            events.append(["ran", 0])
        plans.append([live.first, live.done, live.finished])
    return events, plans


def test_plans_are_those_of_python_step_for_step(browser: Any, serve: Any) -> None:
    schedules: list[tuple[dict[str, Any], tuple[int, ...]]] = [
        ({"name": "millivid", "windows": [4, 16, 64], "history": 64}, (16, 4, 1)),
        ({"name": "millivid", "windows": [1, 2, 8], "history": 16}, (16, 4, 1)),
        ({"name": "framepack", "num_targets": 4, "context": [4, 16, 64]}, (16, 4, 1)),
        ({"name": "full_resolution", "num_frames": 16}, (16,)),
    ]
    page = browser.new_page()
    page.goto(serve(site_module.SCRIPTS)[0] + "planner.js")
    for seed, (settings, tokens) in enumerate(schedules):
        chunk = make_schedule(**settings).chunk(tokens)
        events, plans = recorded(chunk, seed)
        script = """async ([{steps, chunk: sizes}, events, first]) => {
            const { Chunk, LivePlan } = await import("./planner.js");
            const chunk = new Chunk(steps, sizes);
            let live = new LivePlan(chunk, first);
            const plans = events.map(([what, shown]) => {
                live = what === "ran" ? live.ran() : live.change(shown);
                return [live.first, live.done, live.finished];
            });
            return [plans, chunk.cuts.map(({ steps, frames }) => [steps, frames])];
        }"""
        ours, their_cuts = page.evaluate(script, [plan_of(chunk), events, chunk.num_context_frames + 3])
        assert ours == plans
        assert their_cuts == [[cut.steps, cut.frames] for cut in cuts(chunk)]
    page.close()


def test_noise_is_that_of_python(browser: Any, serve: Any) -> None:
    page = browser.new_page()
    page.goto(serve(site_module.SCRIPTS)[0] + "noise.js")
    for seed, step, count in ((0, 0, 500), (7, 1764, 3072), (2**31 - 1, 2**31, 64)):
        script = "async (given) => Array.from((await import('./noise.js')).normal(...given))"
        assert np.allclose(page.evaluate(script, [seed, step, count]), normal(seed, step, count), rtol=0, atol=1e-6)
    page.close()


def test_recorded_keys_give_the_frames_of_python(
    page: Any, pipeline: VideoPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same keys in both, 64 frames, then back and on again with the same frames."""
    monkeypatch.setattr(millivid.diffusion.live, "SeededNoise", PortableNoise)
    beginning = site_module.in_a_world(pipeline.info, 5)
    frames = torch.from_numpy(beginning.frames).permute(0, 3, 1, 2).float() / 255
    poses = torch.from_numpy(beginning.poses)
    session = pipeline.live(frames, torch.from_numpy(beginning.actions), poses, seed=5)
    theirs, memory = [], []
    for action, count in KEYS:
        session.press(action, every=3)
        for _ in range(count):
            theirs.append((session.next().permute(1, 2, 0).numpy() * 255).round())
        view = session.memory()
        memory.append([view.first, ["".join(map(str, row)) for row in view.cells.tolist()]])
    script = """async (keys) => {
        const { LiveSession } = await import(new URL("./page/session.js", location.href));
        const { model, starts } = window.millivid.engine;
        const session = new LiveSession(model, starts[1], 5), frames = [], memory = [];
        async function next() {
            while (!session.atHand) if (!(await session.decode())) await session.work();
            return Array.from(session.next());
        }
        for (const [action, count] of keys) {
            await session.press(action, 3);
            for (let n = 0; n < count; n += 1) frames.push(await next());
            memory.push([session.memory().first, session.memory().cells]);
        }
        const { pose } = session;
        await session.rewind(session.shown - 30);
        const again = [], upcoming = [];
        let shown = 0;
        for (const [action, count] of keys) { upcoming.push([shown, action]); shown += count; }
        for (const place of Array.from({ length: 30 }, (_, n) => frames.length - 30 + n)) {
            const pressed = upcoming.find(([at]) => at === place);
            if (pressed) await session.press(pressed[1], 3);
            again.push(await next());
        }
        return { frames, memory, pose, again };
    }"""
    found = page.evaluate(script, KEYS)
    ours = np.array(found["frames"], np.float64).reshape(64, 64, 64, 4)[..., :3]
    error = np.square(ours - np.stack(theirs)).mean(axis=(1, 2, 3))
    print(f"\nsite against Python: at least {10 * np.log10(255**2 / max(error.max(), 1e-9)):.1f} dB")
    assert 10 * np.log10(255**2 / max(error.max(), 1e-9)) > 40
    assert found["memory"] == memory
    assert np.allclose(found["pose"], session.pose(session.shown - 1), atol=1e-4)
    assert found["again"] == found["frames"][-30:]


def picture(page: Any) -> list[int]:
    script = """() => { const c = document.querySelector('#views canvas');
        return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; }"""
    return page.evaluate(script)


def shown(page: Any) -> int:
    return int(page.evaluate(SHOWN))


def wait_until_shown(page: Any, count: int) -> None:
    page.wait_for_function(f"{SHOWN} >= {count}", timeout=60_000)


def test_keys_change_the_picture_and_the_past_comes_back(page: Any) -> None:
    before, start = picture(page), shown(page)
    assert start == 84 and page.evaluate("window.millivid.settings.backend") == "wasm"
    assert (
        page.locator("#save").is_hidden() and page.locator("#truth").is_hidden() and page.locator("#mp4").is_visible()
    )
    page.keyboard.down("ArrowUp")
    wait_until_shown(page, start + 60)
    times = page.evaluate("window.millivid.arrivals")
    page.keyboard.up("ArrowUp")
    page.keyboard.down("a")
    page.wait_for_function("window.millivid.delays.length == 2", timeout=60_000)
    page.keyboard.up("a")
    page.wait_for_function("!window.millivid.engine.owed", timeout=30_000)
    delays = page.evaluate("window.millivid.delays")
    rate = (len(times) - 1) / (times[-1] - times[0]) * 1000
    print(f"\nWASM, one thread: {rate:.1f} frames/s while a key is held; key to picture {max(delays):.0f} ms at most")
    assert picture(page) != before
    state = page.evaluate("window.millivid.state")
    assert len(state["memory"]["cells"]) == 3 and {*state["memory"]["cells"][0]} >= {"0", "1"}
    ended = shown(page)
    page.evaluate("window.millivid.engine.rewind(0)")
    page.wait_for_function("window.millivid.state.shown == 84", timeout=30_000)
    page.wait_for_function("document.querySelector('#views canvas').dataset.frame == '83'")
    assert picture(page) == before and ended > 140


def test_going_back_and_keys_at_once(page: Any) -> None:
    """Whatever comes together is done once, in order, and the walk goes on."""
    page.keyboard.down("ArrowUp")
    wait_until_shown(page, 100)
    page.keyboard.up("ArrowUp")
    for _ in range(3):
        page.evaluate("""() => {
            const { engine } = window.millivid;
            engine.press(1);
            engine.rewind(engine.session.shown - 1);
            engine.press(2);
            engine.rewind(engine.session.shown - 2);
            engine.press(0);
        }""")
        before = shown(page)
        page.wait_for_function(f"window.millivid.engine.session.shown > {before}", timeout=30_000)
    page.evaluate("window.millivid.engine.restart(1234)")  # none of the two worlds' numbers
    page.evaluate("window.millivid.engine.press(1)")
    page.wait_for_function("window.millivid.engine.session.shown == 84", timeout=30_000)
    assert page.evaluate("window.millivid.settings.seed") == 0
    time.sleep(0.5)
    assert page.evaluate("[window.millivid.engine.held, window.millivid.engine.session.shown]") == [None, 84]
    page.keyboard.down("ArrowUp")
    wait_until_shown(page, 88)
    page.keyboard.up("ArrowUp")


def test_it_needs_no_network_once_it_is_there(browser: Any, serve: Any, site: Path) -> None:
    address, stop = serve(site)
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function(SHOWN, timeout=120_000)
    stop()
    page.locator("#seed").fill("5")
    page.locator("#restart").click()
    page.wait_for_function("window.millivid.settings.seed == 5")
    page.keyboard.down("ArrowUp")
    wait_until_shown(page, 90)
    page.keyboard.up("ArrowUp")
    page.locator("#mp4").click()
    page.wait_for_selector("#told a", timeout=60_000)
    assert page.locator("#told a").get_attribute("href").startswith("blob:")
    page.close()


class IsolatedFiles(Files):
    """Served so that a page may have threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


def test_an_isolated_page_has_threads(browser: Any, serve: Any, site: Path) -> None:
    page = browser.new_page()
    page.goto(serve(site, IsolatedFiles)[0])
    page.wait_for_function(SHOWN, timeout=120_000)
    threads = page.evaluate("window.millivid.engine.threads")
    assert threads == page.evaluate("Math.min(4, navigator.hardwareConcurrency)")
    page.keyboard.down("ArrowUp")
    wait_until_shown(page, 150)
    times = page.evaluate("window.millivid.arrivals")
    page.keyboard.up("ArrowUp")
    print(
        f"\nWASM, {threads} threads: {(len(times) - 1) / (times[-1] - times[0]) * 1000:.1f} frames/s while a key is held"
    )
    page.close()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ("model/denoise.onnx", "denoise.onnx has come damaged; reload this page, or export the site again"),
        ("model/read.onnx", "read.onnx cannot be loaded (404); the site is not complete, export it again"),
        ("site.json", "site.json cannot be loaded; the site is not complete, export it again"),
    ],
)
def test_what_cannot_be_played_is_said(
    browser: Any, serve: Any, site: Path, tmp_path: Path, spoil: str, sentence: str
) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
    (copy / spoil).unlink()
    if "damaged" in sentence:
        content = bytearray((site / spoil).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / spoil).write_bytes(content)
    page = browser.new_page()
    page.goto(serve(copy)[0])
    page.wait_for_function("document.getElementById('told').textContent.startsWith('It cannot')", timeout=60_000)
    assert page.locator("#told").text_content() == f"It cannot be played here: {sentence}."
    assert page.locator("#loading").is_hidden()
    page.close()


def test_what_a_site_is(site: Path) -> None:
    size = sum(file.stat().st_size for file in site.rglob("*"))
    print(f"\n{size / 1e6:.1f} MB")
    assert size < 30e6
    told = json.loads((site / "site.json").read_text())
    for name in told["files"]:
        assert (site / name).is_file()
    assert [world["seed"] for world in told["worlds"]] == [0, 5]
    assert 'src="page/play.js"' in (site / "index.html").read_text()


def test_a_runtime_from_elsewhere(tmp_path: Path) -> None:
    found = site_module._put_runtime("https://cdn.example/ort/", tmp_path / "runtime")
    assert found["wasm"] == {"module": "https://cdn.example/ort/ort.wasm.min.mjs", "binary": None}
    with pytest.raises(ValueError, match=r"holds no ort\.wasm\.min\.mjs; give npm"):
        site_module._put_runtime(str(tmp_path), tmp_path / "runtime")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["worlds=[]"], "worlds is empty"),
        (["worlds=[-1]"], "world is -1"),
        (["fps=0"], "fps is 0"),
        (["model=nowhere"], "model and tokenizer belong together"),
    ],
)
def test_mistakes(words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "web", f"out={tmp_path}/out", *words]) == 2
    told = capsys.readouterr().err.strip()
    assert sentence in told and len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())
