"""The page and its stream: one WebSocket for each tab, one thread that computes for all of them."""

import asyncio
import contextlib
import io
import json
import math
import secrets
import struct
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from millivid.play.walk import Walk

PROTOCOL = 1
"""Goes up whenever page and server of different versions would misunderstand each other."""
PAGE = Path(__file__).parent / "page"
HEADER = struct.Struct("<BBHId")
"""Of a binary message: kind (0 frame, 1 thumbnail), which of its images, level, frame number, the stamp of the key answered."""
LONGEST, MOST_PER_SECOND, IN_FLIGHT = 2048, 120, 2
"""Of a person's messages: bytes, and how many; and how many frames are sent before one is acknowledged."""
THUMBNAILS = 8
"""Pictures on each level of the memory."""


class Worker:
    """The thread that computes, for one walk after the other as long as one has something to do."""

    def __init__(self) -> None:
        self._walks: list[Walk] = []
        self._changed = Condition()
        self._ended = False
        self._thread = Thread(target=self._run, name="millivid-play", daemon=True)
        self._thread.start()

    def add(self, walk: Walk) -> None:
        """Compute for a walk too."""
        with self._changed:
            self._walks.append(walk)
            self._changed.notify()

    def remove(self, walk: Walk) -> None:
        """Compute for it no more."""
        with self._changed:
            self._walks = [other for other in self._walks if other is not walk]

    def wake(self) -> None:
        """Somebody wants something."""
        with self._changed:
            self._changed.notify()

    def end(self) -> None:
        """Stop the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._ended:
            busy = False
            for walk in tuple(self._walks):
                try:
                    busy |= walk.error is None and walk.compute()
                except Exception as error:  # the other walks go on
                    walk.error = f"{type(error).__name__}: {error}"
            if not busy:
                with self._changed:
                    if not self._ended:
                        self._changed.wait(timeout=0.02)


class Guard:
    """Lets in what this machine's own browser asks of our own page, and nothing else.

    hosts: as browsers name this server, host:port. Another page may make a browser ask us, but cannot hide where it is from
    (Origin); a name that leads here from elsewhere shows as another Host.
    """

    def __init__(self, app: ASGIApp, hosts: Callable[[], Sequence[str]]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        origin, hosts = headers.get("origin"), self.hosts()
        ours = origin in {f"http://{host}" for host in hosts} or (origin is None and scope["type"] == "http")
        if headers.get("host") in hosts and ours:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            told = f"millivid play serves http://{hosts[0]} on this machine alone\n"
            await PlainTextResponse(told, status_code=403)(scope, receive, send)


@dataclass(frozen=True, kw_only=True)
class Served:
    """What the page offers.

    new_walk: makes a walk from a seed, and whether all minds are wanted. fps: frames per second, at most. sessions: tabs at
    once. saves: the folder below which walks are saved.
    """

    new_walk: Callable[[int, bool], Walk]
    fps: float
    sessions: int
    saves: Path
    seed: int
    minds: tuple[str, ...]


class Server:
    """The ASGI application `app`, and the thread behind it. started: called once it serves, and signals end it in order."""

    def __init__(
        self, served: Served, hosts: Callable[[], Sequence[str]], started: Callable[[], object] = lambda: None
    ) -> None:
        self.served, self.worker, self._started = served, Worker(), started
        self.tabs: set[Tab] = set()
        self.files: OrderedDict[str, Path] = OrderedDict()
        routes = [
            Route("/", self._page),
            Route("/saved/{token}", self._saved),
            WebSocketRoute("/walk", self._walk),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]
        self.app = Guard(Starlette(routes=routes, lifespan=self._lifespan), hosts)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._started()
        yield
        self.worker.end()

    async def _page(self, _: Request) -> Response:
        policy = "default-src 'self'; img-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'"
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return FileResponse(PAGE / "index.html", headers=headers)

    async def _saved(self, request: Request) -> Response:
        path = self.files.get(request.path_params["token"])
        if path is None or not path.is_file():
            return PlainTextResponse("this film is not kept any more; make it again\n", status_code=404)
        return FileResponse(path, filename=path.name)

    async def _walk(self, socket: WebSocket) -> None:
        await socket.accept()
        if len(self.tabs) >= self.served.sessions:
            await socket.send_text(json.dumps({"type": "wait", "sessions": self.served.sessions}))
            await socket.close(4001)
            return
        tab = Tab(self, socket)
        self.tabs.add(tab)
        try:
            await tab.run()
        finally:
            self.tabs.discard(tab)

    def offer(self, path: Path) -> str:
        """Where a file may be fetched; the last hundred stay."""
        token = secrets.token_urlsafe(12)
        self.files[token] = path
        while len(self.files) > 100:
            self.files.popitem(last=False)
        return f"/saved/{token}"


class Refused(Exception):
    """What a page sent that ours does not send."""


class Tab:
    """One tab: what it sends, and what it is sent."""

    def __init__(self, server: Server, socket: WebSocket) -> None:
        self.server, self.socket, self.served = server, socket, server.served
        self.walk: Walk | None = None
        self.sending, self.changed = asyncio.Lock(), asyncio.Event()
        self.acknowledged = self.sent = 0
        self.heard: list[float] = []

    async def run(self) -> None:
        """Serve it until it is closed."""
        tasks = []
        try:
            hello = self._parse(await asyncio.wait_for(self.socket.receive(), timeout=10))
            if hello.get("type") != "hello" or hello.get("protocol") != PROTOCOL:
                raise Refused(
                    f"the page speaks protocol {hello.get('protocol')!r:.20}, this server {PROTOCOL}; reload it"
                )
            await self._begin(self.served.seed, False)
            tasks = [asyncio.create_task(part()) for part in (self._receive, self._show, self._tell)]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except Refused as error:
            with contextlib.suppress(Exception):
                await self._send({"type": "error", "message": str(error)})
                await self.socket.close(1008)
        except (WebSocketDisconnect, TimeoutError, RuntimeError, OSError):
            with contextlib.suppress(Exception):
                await self.socket.close(1001)
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                ended, _ = await asyncio.wait(tasks)
                for task in ended:
                    _ = task.cancelled() or task.exception()  # which else would be told as never asked for
            if self.walk is not None:
                self.server.worker.remove(self.walk)

    async def _begin(self, seed: int, all_minds: bool) -> None:
        try:
            walk = await asyncio.to_thread(self.served.new_walk, seed, all_minds)
        except ValueError as error:
            raise Refused(str(error)) from error
        if self.walk is not None:
            self.server.worker.remove(self.walk)
        self.acknowledged = self.sent = 0
        self.walk = walk
        self.server.worker.add(walk)
        await self._send(
            {
                "type": "begun",
                "protocol": PROTOCOL,
                "seed": seed,
                "minds": list(walk.minds),
                "offered": list(self.served.minds),
                "actions": list(walk.names),
                "truth": walk.truth is not None,
                "fps": self.served.fps,
                "size": list(walk.first.frame(walk.shown - 1).shape[:2]),
                "context": walk.shown,
                "levels": walk.first.memory().cells.shape[0],
            }
        )
        await self._send_images(walk.shown - 1, 0.0, walk.image(walk.shown - 1))

    async def _send(self, message: dict[str, Any]) -> None:
        async with self.sending:
            await self.socket.send_text(json.dumps(message))

    async def _send_images(self, number: int, stamp: float, images: Sequence[NDArray[np.uint8]]) -> None:
        self.sent += 1
        async with self.sending:
            for place, image in enumerate(images):
                await self.socket.send_bytes(HEADER.pack(0, place, 0, number, stamp) + as_jpeg(image))

    def _parse(self, message: Any) -> dict[str, Any]:
        """What the page said; raises Refused for what ours never says."""
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        text, now = message.get("text"), time.monotonic()
        self.heard = [*(moment for moment in self.heard if moment > now - 1), now]
        if text is None or len(text) > LONGEST or len(self.heard) > MOST_PER_SECOND:
            raise Refused("the page sends what is no message of ours, or too many; reload it")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Refused("the page sends what is no message of ours; reload it")
        return found

    async def _receive(self) -> None:
        while True:
            message = self._parse(await self.socket.receive())
            await self._do(message)
            self.changed.set()
            self.server.worker.wake()

    async def _do(self, message: dict[str, Any]) -> None:
        walk, kind = self.walk, message.get("type")
        assert walk is not None
        if kind == "key":
            action = message.get("action")
            last = len(walk.names) - 1
            walk.press(None if action is None else _whole(action, "action", last), _number(message.get("stamp", 0)))
        elif kind == "ack":
            self.acknowledged = max(self.acknowledged, min(_whole(message.get("count"), "count"), self.sent))
        elif kind == "rewind":
            walk.rewind(_whole(message.get("frame"), "frame"))
        elif kind == "truth":
            walk.with_truth = message.get("on") is True
        elif kind == "restart":
            await self._begin(_whole(message.get("seed"), "seed", 2**31 - 1), message.get("minds") is True)
        elif kind in ("save", "share"):
            await self._keep(walk, message.get("kind"))
        else:
            raise Refused(f"the page asks for {kind!r:.20}, which is nothing that it can have; reload it")

    async def _keep(self, walk: Walk, kind: Any) -> None:
        """Save the walk, or make a film of it, below the folder for that, under a name of ours."""
        walk.press(None, 0)
        name = f"walk-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        folder = self.served.saves / name
        try:
            if kind in ("gif", "mp4"):
                await asyncio.to_thread(self.served.saves.mkdir, parents=True, exist_ok=True)
                path = self.served.saves / f"{name}.{kind}"
                await asyncio.to_thread(walk.film, path, self.served.fps)
                await self._send({"type": "shared", "url": self.server.offer(path), "name": path.name})
            else:
                await asyncio.to_thread(walk.save, folder, self.served.fps)
                await self._send({"type": "saved", "folder": str(folder)})
        except (OSError, ValueError) as error:
            await self._send({"type": "told", "message": f"it could not be saved: {error}"})

    async def _show(self) -> None:
        """Send frames as they are due, never ahead of what the page has shown, and never several at once."""
        period, due, turns = 1 / self.served.fps, time.monotonic(), 0
        walk = self.walk
        while True:
            if self.walk is not walk:
                walk, turns = self.walk, 0
            assert walk is not None
            if walk.error is not None:
                raise Refused(f"the walk cannot go on ({walk.error}); reload the page")
            if walk.turns != turns:
                turns = walk.turns
                await self._send_images(walk.shown - 1, 0.0, walk.image(walk.shown - 1))
            now = time.monotonic()
            shown = walk.show() if now >= due and self.sent - self.acknowledged < IN_FLIGHT else None
            if shown is not None:
                due = max(due + period, now + period / 2)
                self.server.worker.wake()
                await self._send_images(shown.number, shown.stamp, shown.images)
                continue
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), timeout=max(0.004, min(due - now, period)))

    async def _tell(self) -> None:
        """Say a few times a second what the model remembers, and where the walk is; with a picture of the memory each time."""
        number = told_before = 0
        while True:
            walk = self.walk
            assert walk is not None
            view, shown = walk.first.memory(), walk.shown
            told = {
                "type": "state",
                "shown": shown,
                "finished": walk.first.finished,
                "earliest": max(mind.earliest for mind in walk.minds.values()),
                "memory": {"first": view.first, "cells": ["".join(map(str, row)) for row in view.cells.tolist()]},
                "place": [round(value, 3) for value in walk.place()],
                "psnr": None if walk.psnr is None else round(walk.psnr, 2),
            }
            await self._send(told)
            levels, frames = view.cells.shape
            level, column = number % levels, number // levels % THUMBNAILS
            frame = view.first + (2 * column + 1) * frames // (2 * THUMBNAILS)
            wanted = told_before % 3 == 0  # decoding takes time that the walk needs too
            picture = await asyncio.to_thread(walk.first.thumbnail, level, max(frame, 0)) if wanted else None
            if picture is not None:
                async with self.sending:
                    await self.socket.send_bytes(HEADER.pack(1, column, level, frame, 0.0) + as_jpeg(picture))
            number, told_before = number + wanted, told_before + 1
            await asyncio.sleep(0.1)


def as_jpeg(image: NDArray[np.uint8]) -> bytes:
    """An image as a JPEG without visible loss."""
    written = io.BytesIO()
    Image.fromarray(image).save(written, "JPEG", quality=95, subsampling=0)
    return written.getvalue()


def _whole(value: Any, name: str, most: int = 2**31 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Refused(f"the page sends {name} {value!r:.20}; it is a whole number from 0 to {most}; reload it")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Refused("the page sends a time that is none; reload it")
    return float(value)
