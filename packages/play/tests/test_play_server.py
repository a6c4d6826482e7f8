"""The stream: who may have it, what may be said in it, and that nobody disturbs another."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from millivid.data import ClipDataset
from millivid.play import PROTOCOL, Served, Server, Walk
from millivid.play.server import HEADER, IN_FLIGHT, MOST_PER_SECOND

HOST = "127.0.0.1:8765"
OURS = {"Origin": f"http://{HOST}", "Host": HOST}
HELLO = {"type": "hello", "protocol": PROTOCOL}


@pytest.fixture
def client(new_walk: Callable[[int, bool], Walk], tmp_path: Path) -> Iterator[TestClient]:
    served = Served(
        new_walk=new_walk, fps=200, sessions=2, saves=tmp_path / "saves", seed=0, minds=("millivid", "framepack")
    )
    server = Server(served, lambda: [HOST])
    with TestClient(server.app, base_url=f"http://{HOST}") as client:
        yield client


class Page:
    """What a page does, by hand."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.count = 0

    def say(self, message: Any) -> None:
        self.socket.send_text(message if isinstance(message, str) else json.dumps(message))

    def hear(self) -> Any:
        """The next message: a dict, or (kind, place, level, number, stamp, bytes)."""
        message = self.socket.receive()
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(message["code"])
        if message.get("text") is not None:
            return json.loads(message["text"])
        data = message["bytes"]
        self.count += data[:2] == b"\0\0"  # frames of the first mind
        return (*HEADER.unpack(data[: HEADER.size]), data[HEADER.size :])

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The next message of a kind. Others are passed over, for a while."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if wanted(message := self.hear()):
                return message
        raise TimeoutError("no such message came")

    def hear_of(self, kind: str) -> Any:
        return self.until(lambda message: isinstance(message, dict) and message["type"] == kind)

    def image(self) -> tuple[int, float]:
        """The next frame of the first mind: its number and stamp."""
        message = self.until(lambda message: not isinstance(message, dict) and message[:2] == (0, 0))
        assert message[5][:2] == b"\xff\xd8"
        return message[3], message[4]

    def ack(self) -> None:
        self.say({"type": "ack", "count": self.count})

    def begin(self) -> dict[str, Any]:
        self.say(HELLO)
        begun = self.hear_of("begun")
        self.image()
        self.ack()
        return begun

    def frames(self, count: int) -> list[int]:
        found = []
        for _ in range(count):
            found.append(self.image()[0])
            self.ack()
        return found


def test_a_walk_is_streamed(client: TestClient) -> None:
    with client.websocket_connect("/walk", headers=OURS) as socket:
        page = Page(socket)
        begun = page.begin()
        assert begun["actions"] == ["forward", "left", "right"] and begun["minds"] == ["millivid"] and begun["truth"]
        start = begun["context"]
        page.say({"type": "key", "action": 0, "stamp": 12.5})
        number, stamp = page.image()
        page.ack()
        assert (number, stamp) == (start, 12.5)
        assert page.frames(9) == list(range(start + 1, start + 10))
        state = page.hear_of("state")
        assert len(state["memory"]["cells"]) == begun["levels"] and state["psnr"] > 5
        page.say({"type": "rewind", "frame": start + 4})
        while page.frames(1) != [start + 3]:
            pass
        page.say({"type": "truth", "on": True})
        page.say({"type": "key", "action": 1, "stamp": 99.0})
        assert start + 4 in page.frames(2)


def test_the_server_never_runs_ahead_of_the_page(client: TestClient) -> None:
    with client.websocket_connect("/walk", headers=OURS) as socket:
        page = Page(socket)
        start = page.begin()["context"]
        page.say({"type": "key", "action": 0, "stamp": 1.0})
        seen = [page.image()[0] for _ in range(IN_FLIGHT)]
        for _ in range(6):  # half a second, in which 100 frames would be due
            assert page.hear_of("state")["shown"] == start + IN_FLIGHT
        page.ack()
        assert seen + page.frames(4) == list(range(start, start + IN_FLIGHT + 4))


def test_walks_are_saved_and_shared_below_one_folder(client: TestClient, tmp_path: Path) -> None:
    with client.websocket_connect("/walk", headers=OURS) as socket:
        page = Page(socket)
        start = page.begin()["context"]
        page.say({"type": "key", "action": 0, "stamp": 1.0})
        page.frames(5)
        page.say({"type": "save", "folder": "/etc", "kind": "../../evil"})
        folder = Path(page.hear_of("saved")["folder"])
        assert folder.parent == tmp_path / "saves"
        assert len(ClipDataset(folder / "millivid").read("walk")) >= start + 5
        page.say({"type": "share", "kind": "gif"})
        shared = page.hear_of("shared")
        found = client.get(shared["url"])
        assert found.status_code == 200 and found.content[:3] == b"GIF"
        assert client.get("/saved/other").status_code == client.get("/saved/..%2f..%2fetc%2fpasswd").status_code == 404


def test_starting_again_elsewhere_with_other_minds(client: TestClient) -> None:
    with client.websocket_connect("/walk", headers=OURS) as socket:
        page = Page(socket)
        page.begin()
        page.say({"type": "restart", "seed": 7, "minds": True})
        begun = page.hear_of("begun")
        assert begun["seed"] == 7 and len(begun["minds"]) == 3
        images = [page.until(lambda message: not isinstance(message, dict) and message[0] == 0) for _ in range(3)]
        assert [image[1] for image in images] == [0, 1, 2]


@pytest.mark.parametrize(
    "hello",
    [
        "", "null", "[]", "{", "[" * 1500, "1" * 1500, '{"type": "hello"}', json.dumps({**HELLO, "protocol": PROTOCOL + 1}),
        json.dumps({"type": "key", "action": 0}), "x" * 5000,
    ],
)  # fmt: skip
def test_who_is_no_page_of_ours_is_told_and_left(client: TestClient, hello: str) -> None:
    with client.websocket_connect("/walk", headers=OURS) as socket:
        page = Page(socket)
        page.say(hello)
        assert "reload it" in page.hear()["message"]
        with pytest.raises(WebSocketDisconnect):
            page.hear()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "key", "action": 3}, {"type": "key", "action": -1}, {"type": "key", "action": "forward"},
        {"type": "key", "action": True}, {"type": "key", "action": 0, "stamp": "now"},
        {"type": "key", "action": 0, "stamp": float("nan")}, {"type": "rewind", "frame": 1e9}, {"type": "rewind"},
        {"type": "restart", "seed": -1}, {"type": "restart", "seed": 2**40}, {"type": "ack", "count": None},
        {"type": "delete"}, {"kind": 5}, {"type": ["key"]}, {"type": {"a": 1}},
    ],
)  # fmt: skip
def test_what_cannot_be_said_ends_a_tab(client: TestClient, message: dict[str, Any]) -> None:
    with client.websocket_connect("/walk", headers=OURS) as socket:
        page = Page(socket)
        page.begin()
        page.say(message)
        assert "reload it" in page.hear_of("error")["message"]


def test_another_tab_is_not_disturbed(client: TestClient) -> None:
    with client.websocket_connect("/walk", headers=OURS) as socket:
        page = Page(socket)
        start = page.begin()["context"]
        page.say({"type": "key", "action": 0, "stamp": 1.0})
        numbers = page.frames(2)
        with client.websocket_connect("/walk", headers=OURS) as hostile:
            Page(hostile).begin()
            for _ in range(2 * MOST_PER_SECOND):
                hostile.send_bytes(b"\x00" * 100)
            numbers += page.frames(6)
        for _ in range(20):
            with client.websocket_connect("/walk", headers=OURS) as hostile:
                Page(hostile).say("garbage")
        numbers += page.frames(6)
        assert numbers == list(range(start, start + 14))


def test_the_next_tab_is_told_to_wait(client: TestClient) -> None:
    with (
        client.websocket_connect("/walk", headers=OURS) as one,
        client.websocket_connect("/walk", headers=OURS) as two,
    ):
        for socket in (one, two):
            Page(socket).begin()
        with client.websocket_connect("/walk", headers=OURS) as third:
            assert Page(third).hear() == {"type": "wait", "sessions": 2}
    time.sleep(0.1)
    with client.websocket_connect("/walk", headers=OURS) as freed:
        assert Page(freed).begin()["type"] == "begun"


@pytest.mark.parametrize(
    "headers",
    [
        {**OURS, "Origin": "http://evil.example"}, {**OURS, "Origin": "null"}, {**OURS, "Host": "evil.example"},
        {**OURS, "Origin": f"https://{HOST}"}, {"Host": HOST},
    ],
)  # fmt: skip
def test_other_pages_cannot_drive_it(client: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/walk", headers=headers):
        pass
    assert refused.value.code == 1008
    if "Origin" in headers:
        assert client.get("/", headers=headers).status_code == 403


def test_the_page_comes_with_its_parts(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "default-src 'self'" in page.headers["Content-Security-Policy"]
    for name in ("play.css", "play.js", "engine.js"):
        assert f'"page/{name}"' in page.text or name == "engine.js"
        assert client.get(f"/page/{name}").status_code == 200
    assert client.get("/page/../server.py").status_code == 404
    assert "PROTOCOL = 1;" in client.get("/page/engine.js").text and PROTOCOL == 1


def test_what_fails_in_one_walk_is_told_there(new_walk: Callable[[int, bool], Walk], tmp_path: Path) -> None:
    def broken(seed: int, all_minds: bool) -> Walk:
        walk = new_walk(seed, all_minds)
        if seed == 13:
            walk.first.work = lambda: np.zeros(3)[5]  # type: ignore[method-assign]
        return walk

    served = Served(new_walk=broken, fps=200, sessions=2, saves=tmp_path, seed=0, minds=("millivid",))
    with TestClient(Server(served, lambda: [HOST]).app, base_url=f"http://{HOST}") as client:
        with client.websocket_connect("/walk", headers=OURS) as one:
            page = Page(one)
            page.begin()
            page.say({"type": "restart", "seed": 13})
            page.hear_of("begun")
            page.say({"type": "key", "action": 0, "stamp": 1.0})
            assert "IndexError" in page.hear_of("error")["message"]
        with client.websocket_connect("/walk", headers=OURS) as two:
            page = Page(two)
            page.begin()
            page.say({"type": "key", "action": 0, "stamp": 1.0})
            assert len(page.frames(5)) == 5
