"""How another program may host an exported model: numpy and onnxruntime, no torch, nothing else of ours."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

FORMAT, VERSION, PLAN = "millivid-onnx", 1, "plan.json"
Array = NDArray[Any]


def normal(seed: int, step: int, count: int) -> NDArray[np.float32]:
    """Standard normal numbers that depend on a seed and a step alone, the same in every language (docs/formats.md)."""
    state = _mixed(_mixed(np.array([seed], np.uint32)) ^ np.uint32(step))
    first, second = (
        _mixed(_mixed(np.arange(count, dtype=np.uint32) * np.uint32(2) + np.uint32(k)) ^ state) for k in (0, 1)
    )
    radius = np.sqrt(-2 * np.log((first + 1.0) / 2**32))
    return (radius * np.cos(2 * np.pi * (second / 2**32))).astype(np.float32)


def _mixed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


class Player:
    """An exported pipeline. Raises ValueError for a folder that is none, or whose files are not as they were written."""

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        self.folder = Path(folder)
        try:
            self.plan: dict[str, Any] = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
            known = self.plan["format"], self.plan["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.folder} holds no {PLAN} of an exported model ({error}); export it again"
            ) from error
        if known != (FORMAT, VERSION):
            raise ValueError(f"{self.folder} is {known[0]} {known[1]}, this reads {FORMAT} {VERSION}; export it again")
        for name, file in self.plan["files"].items():
            if (
                not (self.folder / name).is_file()
                or sha256((self.folder / name).read_bytes()).hexdigest() != file["sha256"]
            ):
                raise ValueError(f"{self.folder / name} is missing or damaged; export or download it again")
        options, names = onnxruntime.SessionOptions(), [name for name in self.plan["files"] if name.endswith(".onnx")]
        options.intra_op_num_threads = threads
        self.sessions = {name: onnxruntime.InferenceSession(self.folder / name, options) for name in names}
        self.mean, self.std = (np.array(self.plan["statistics"][name], np.float32) for name in ("mean", "std"))
        self.tokens = sum(height * width for height, width in self.plan["grids"])

    def run(self, graph: str, known: dict[str, Any]) -> dict[str, Array]:
        """A graph's outputs by name; of what is known it takes its inputs."""
        session = self.sessions[graph]
        kinds = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
        feeds = {node.name: np.asarray(known[node.name], kinds[node.type]) for node in session.get_inputs()}
        return dict(zip((node.name for node in session.get_outputs()), session.run(None, feeds), strict=True))

    def encode(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The latents of all levels, [token, c], of a frame, [h, w, 3]."""
        return self.run("encode.onnx", {"frame": frame.transpose(2, 0, 1) / np.float32(255)})["latents"]

    def decode(self, latents: NDArray[np.float32], level: int = 0) -> NDArray[np.uint8]:
        """The frame, [h, w, 3], that one level of latents shows."""
        frame = self.run("decode.onnx", {"latents": latents, "level": level})["frame"]
        return (frame.transpose(1, 2, 0) * 255).round().astype(np.uint8)

    def generate(
        self,
        frames: Sequence[NDArray[np.uint8]],
        actions: Sequence[Any],
        seed: int = 0,
        noise: Callable[[int, int], Array] | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """The frames after those given, one for every further action.

        actions: a category or vector for every frame, the given ones' too. noise: as `normal` without the seed, for noise of
        another kind. Raises ValueError for fewer frames than the model needs.
        """
        if len(frames) < self.plan["context"]:
            raise ValueError(f"{len(frames)} frames are too few; the model needs {self.plan['context']}")
        first, span, kept = (self.plan["chunk"][name] for name in ("first", "frames", "kept"))
        given, draw = min(len(frames), first), noise or (lambda step, count: normal(seed, step, count))
        store = np.zeros((span, self.tokens, self.plan["channels"]), np.float32)
        store[first - given : first] = [self.encode(frame) for frame in frames[len(frames) - given :]]
        known = np.asarray(actions)[len(frames) - given :]
        padded = np.pad(known, [(first - given, span), *[(0, 0)] * (known.ndim - 1)])
        for chunk, start in enumerate(range(len(frames), len(actions), kept)):
            held = padded[chunk * kept : chunk * kept + span]
            for number, step in enumerate(self.plan["steps"]):
                count = len(step["targets"]["tokens"]["frame"]) * self.plan["channels"]
                drawn = draw((chunk * kept + len(frames)) * len(self.plan["steps"]) + number, count)
                self.write(store, step, held, drawn.reshape(-1, self.plan["channels"]))
            yield from map(self.decode, store[first : first + min(kept, len(actions) - start)])
            store = np.concatenate([store[kept:], np.zeros_like(store[:kept])])

    def write(self, store: Array, step: dict[str, Any], actions: Array, noise: Array) -> None:
        """Run a step: read its context from the store, [frame, token, c], and write its targets there."""
        graph, context, targets = self.plan["graphs"][step["graph"]], step["context"], step["targets"]
        known, poses = dict[str, Any](), self._poses(actions, step["origin"])
        for prefix, part in (("context", context), ("target", targets)):
            seen = part["sequence"]
            known |= {f"{prefix}_{name}": values for name, values in seen.items()}
            known[f"{prefix}_pose"] = poses[seen["frame"]]
            known[f"{prefix}_condition"] = self._rows(seen, actions)
        frame, token, level = (np.array(context["tokens"][name]) for name in ("frame", "token", "level"))
        known["context"] = (store[frame, token] - self.mean[level]) / self.std[level]
        known["context_blocks"] = self._tables(graph["context_tables"], 0.0, context["sequence"], actions)["blocks"]
        if "read" in graph:
            known |= self.run(graph["read"], known)
        found: list[Array] = []
        for evaluation in self.plan["evaluations"]:
            tables = self._tables(graph["targets_tables"], evaluation["t"], targets["sequence"], actions)
            noisy = sum(weight * part for weight, part in zip(evaluation["noisy"], [noise, *found], strict=True))
            found.append(self.run(graph["denoise"], known | tables | evaluation | {"noisy": noisy})["data"])
        if not np.isfinite(found[-1]).all():
            raise ValueError("the model gives no finite numbers; export one that is not damaged")
        frame, token, level = (np.array(targets["tokens"][name]) for name in ("frame", "token", "level"))
        store[frame, token] = found[-1] * self.std[level] + self.mean[level]

    def _rows(self, seen: dict[str, list[int]], actions: Array) -> Array:
        """Which row of the tables each token has."""
        if self.plan["conditions"] is None:
            return np.arange(len(seen["frame"]))
        count = self.plan["actions"]["count"]
        return np.array(seen["level"]) * (count + 1) + (actions[seen["frame"]] + 1 if count else 0)

    def _tables(self, graph: str, t: float, seen: dict[str, list[int]], actions: Array) -> dict[str, Array]:
        rows = self.plan["conditions"] or {"level": seen["level"], "action": actions[seen["frame"]]}
        return self.run(graph, {"t": t, **rows})

    def _poses(self, actions: Array, origin: int) -> NDArray[np.float32]:
        """Place and heading at every frame as seen from one of them, by dead reckoning."""
        if self.plan["actions"]["odometry"] is None:
            return np.zeros((len(actions), 3), np.float32)
        distance, turn = np.array(self.plan["actions"]["odometry"])[actions].T
        heading = np.cumsum(turn * math.pi / 180)
        place = np.cumsum(distance * np.exp(1j * heading))  # as a complex number
        seen = (place - place[origin]) * np.exp(-1j * heading[origin])
        return np.stack([seen.real, seen.imag, heading - heading[origin]], axis=-1).astype(np.float32)
