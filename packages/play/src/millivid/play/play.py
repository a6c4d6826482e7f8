"""`millivid play`: the page, served to this machine's browser."""

import contextlib
import webbrowser
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Timer

import torch
import uvicorn

from millivid.app.pipeline import VideoPipeline
from millivid.app.pipeline_folder import RUNS, SHIPPED, chosen
from millivid.command import ConfigError, Precision, check_device, device_named
from millivid.files.values import check_number
from millivid.play.beginning import Beginning, in_a_video, in_a_world
from millivid.play.server import Served, Server
from millivid.play.walk import Walk


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """What is walked, and who may.

    pipeline: a saved one, its name on the hub, or null for the shipped one, which alone has other minds beside it; model,
    tokenizer: a trained video model and its tokenizer instead.
    seed: number of the held-out world, and of the noise. start: a video of one's own to begin at the end of; actions: those
    of its frames, as forward*20,left*9. steps, solver, last_time: of the sampler, null for those that the model was measured
    with. fps: frames per second. keep: frames that one can go back. port: 0 for any that is free. open: open the browser.
    sessions: tabs at once. out: where walks are saved. device: such as cpu or cuda, auto for the fastest. precision: fp32,
    bf16, or auto for bf16 on a GPU: a CPU computes one small video faster in float32, even where it has bfloat16.
    """

    pipeline: str | None = None
    model: Path | None = None
    tokenizer: Path | None = None
    seed: int = 0
    start: Path | None = None
    actions: str | None = None
    steps: int | None = None
    solver: str | None = None
    last_time: float | None = None
    fps: float = 30.0
    keep: int = 4096
    port: int = 8765
    open: bool = True
    sessions: int = 2
    out: Path = Path("outputs/play")
    device: str = "auto"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        check_number(self.seed, "seed", 0, 2**31 - 1, whole=True)
        check_number(self.fps, "fps", 1, 240)
        check_number(self.port, "port", 0, 65535, whole=True)
        check_number(self.sessions, "sessions", 1, 64, whole=True)
        chosen(self.pipeline, self.model, self.tokenizer, "tiny")
        if (self.start is None) != (self.actions is None):
            raise ValueError("start and actions belong together: a video, and what was done in it")


def play(config: PlayConfig) -> None:
    """Serve the page until Ctrl-C. Raises ValueError where the model or the start cannot be used, or the port is taken."""
    device, threads = check_device(device_named(config.device)), torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))  # a core is left to the browser, which paints on this machine too
    try:
        _play(config, device)
    finally:
        torch.set_num_threads(threads)


def _play(config: PlayConfig, device: str) -> None:
    name, tokenizer = chosen(config.pipeline, config.model, config.tokenizer, "tiny")
    precision = "fp32" if config.precision == "auto" and device == "cpu" else config.precision
    load = partial(VideoPipeline.from_pretrained, tokenizer=tokenizer, precision=precision)
    first = load(name).to(device)
    mind = RUNS[0] if name == "tiny" else Path(name).name
    others = {run: shipped for run, shipped in zip(RUNS, SHIPPED, strict=True) if name == "tiny"}
    minds = {mind: first}

    def new_walk(seed: int, all_minds: bool) -> Walk:
        for other, shipped in others.items() if all_minds else ():
            if other not in minds:
                minds[other] = load(shipped).to(device)
        walked = minds if all_minds else {mind: first}
        sampler = {"steps": config.steps, "solver": config.solver, "last_time": config.last_time}
        return Walk(walked, _beginning(config, first, seed), seed, config.keep, sampler)

    _warm_up(new_walk(config.seed, False))
    served = Served(
        new_walk=new_walk,
        fps=config.fps,
        sessions=config.sessions,
        saves=config.out,
        seed=config.seed,
        minds=tuple(others) or (mind,),
    )
    _serve(served, config.port, config.open)


def _beginning(config: PlayConfig, pipeline: VideoPipeline, seed: int) -> Beginning:
    info = pipeline.info
    if config.start is None or config.actions is None:
        return in_a_world(info, seed)
    context = max(info.context or 1, pipeline.num_context_frames)
    return in_a_video(config.start, config.actions, info, pipeline.tokenizer.config.image_size, context)


def _warm_up(walk: Walk) -> None:
    """Let all that is loaded or compiled at its first use have its first use."""
    for action in range(len(walk.names)):
        walk.press(action, 0)
        while walk.show() is None:
            walk.compute()
    walk.first.thumbnail(0, walk.shown - 1)


def _serve(served: Served, port: int, show: bool) -> None:
    hosts: list[str] = []

    def tell() -> None:
        print(f"walk at http://{hosts[0]} (Ctrl-C ends it)", flush=True)
        if show:
            Timer(0.3, webbrowser.open, [f"http://{hosts[0]}"]).start()

    server = Server(served, lambda: hosts, tell)
    settings = uvicorn.Config(
        server.app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_max_queue=8,
        ws_ping_interval=10,
        ws_ping_timeout=10,
        limit_concurrency=64,
        timeout_graceful_shutdown=1,
    )
    try:
        sockets = [settings.bind_socket()]
        sockets[0].listen()  # so that who comes at once waits a moment
    except SystemExit:
        raise ConfigError(f"port {port} is taken; give port=0 for any that is free") from None
    port = sockets[0].getsockname()[1]
    hosts += [f"127.0.0.1:{port}", f"localhost:{port}"]
    with contextlib.suppress(KeyboardInterrupt):  # which is how a walk ends
        uvicorn.Server(settings).run(sockets=sockets)
