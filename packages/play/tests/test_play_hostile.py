"""Who means no good, at the real sockets: the others' frames come as before."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread

import pytest

from millivid.play.server import HEADER, PROTOCOL

client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    command = [sys.executable, "-c", "import sys; from millivid.app.cli import main; sys.exit(main())", "play"]
    process = subprocess.Popen(
        [*command, "open=false", "port=0", "sessions=4", "steps=2", "solver=ddim", "last_time=0.2"],
        cwd=tmp_path_factory.mktemp("play"),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    told = process.stdout.readline()
    found = re.search(r":(\d+) ", told)
    assert found, told
    yield int(found[1])
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) in (0, 130)


class Player(Thread):
    """A page that walks on, and notes the number of every frame and when it came."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.leaving = False
        self.socket = client.connect(f"ws://127.0.0.1:{port}/walk", origin=f"http://127.0.0.1:{port}").__enter__()
        self.socket.send(json.dumps({"type": "hello", "protocol": PROTOCOL}))

    def run(self) -> None:
        """Walk until it leaves."""
        while not self.leaving:
            message = self.socket.recv(timeout=30)
            if isinstance(message, str) or message[0] != 0:
                continue
            if not self.numbers:
                self.socket.send(json.dumps({"type": "key", "action": 0, "stamp": 1.0}))
            self.numbers.append(HEADER.unpack(message[: HEADER.size])[3])
            self.times.append(time.monotonic())
            self.socket.send(json.dumps({"type": "ack", "count": len(self.numbers)}))
        self.socket.close()

    def walk_on(self, frames: int) -> None:
        """Wait for so many more frames."""
        end, count = time.monotonic() + 60, len(self.numbers) + frames
        while len(self.numbers) < count:
            assert time.monotonic() < end and self.is_alive(), "no frames come any more"
            time.sleep(0.01)


@pytest.fixture
def player(port: int) -> Iterator[Player]:
    player = Player(port)
    player.start()
    player.walk_on(8)
    yield player
    player.walk_on(8)
    player.leaving = True
    player.join(timeout=30)
    assert player.numbers == list(range(player.numbers[0], player.numbers[0] + len(player.numbers)))


def test_half_open_connections(port: int, player: Player) -> None:
    with contextlib.ExitStack() as held:
        for number in range(50):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(b"GET /walk HTTP/1.1\r\nHost: " if number % 2 else b"")
        player.walk_on(8)


def test_a_thousand_connects(port: int, player: Player) -> None:
    for _ in range(1000):
        socket.create_connection(("127.0.0.1", port)).close()
    player.walk_on(8)


def test_garbage(port: int, player: Player) -> None:
    for content in (b"\x00" * 5000, b"GET " + b"/" * 100_000, b"\x16\x03\x01" * 50, os.urandom(3000)):
        with socket.create_connection(("127.0.0.1", port)) as connection, contextlib.suppress(OSError):
            connection.sendall(content)
            connection.settimeout(0.2)
            connection.recv(1000)
    player.walk_on(8)


def test_a_flood_and_a_giant(port: int, player: Player) -> None:
    for content in ("x" * 100_000, *[json.dumps({"type": "ack", "count": 0})] * 3):
        with (
            contextlib.suppress(Exception),
            client.connect(f"ws://127.0.0.1:{port}/walk", origin=f"http://127.0.0.1:{port}") as flooding,
        ):
            flooding.send(json.dumps({"type": "hello", "protocol": PROTOCOL}))
            for _ in range(3000):
                flooding.send(content)
    player.walk_on(8)


def test_one_that_never_reads(port: int, player: Player) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            f"GET /walk HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        player.walk_on(16)


def test_those_who_left_take_no_place(port: int, player: Player) -> None:
    for _ in range(6):
        other = Player(port)
        other.start()
        other.walk_on(2)
        other.leaving = True
        other.join(timeout=30)
    player.walk_on(4)
