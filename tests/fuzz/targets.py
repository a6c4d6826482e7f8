"""What is spoiled: files, what reads them, and which of these would tell; and every command's words."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from base import LINES, VIDEO
from mutations import BYTES, JSON, TABLE, Mutation

VOLATILE = re.compile(
    r"run\.json|events\.out|metrics\.json|index\.html|metrics\.md|README\.md|.*\.log|.*\.png|.*\.svg|inspection\.json|trained\.json"
)
"""Files with times and durations in them."""


class Refused(Exception):
    """One sentence, as a command prints it."""


def reader(name: str) -> Callable[[], str]:
    """Read something by Python; what was read, as text."""

    def read() -> str:
        from millivid.data import ClipDataset, LatentDataset
        from millivid.diffusion import VideoDiT, VideoModelInfo
        from millivid.eval import read_results
        from millivid.tokenizer import HierarchicalTokenizer, fingerprint

        if name in ("clips", "latents"):
            data = (ClipDataset if name == "clips" else LatentDataset)(name)
            data.verify()
            return repr(data.index)
        if name == "tokenizer":
            return fingerprint(HierarchicalTokenizer.from_pretrained(Path("tokenizer/model")))
        if name == "video":
            return fingerprint(VideoDiT.from_pretrained(Path("video/model"))) + repr(VideoModelInfo.read("video/model"))
        return repr(read_results("report/metrics.json").to_dict())

    return read


def command(words: str | list[str], *outputs: str) -> Callable[[], str]:
    """Run a command; a hash of the files that it leaves in `outputs`."""

    def run() -> str:
        from millivid.app.cli import main

        code = main(words.split() if isinstance(words, str) else words)
        if code == 2:
            raise Refused
        if code:
            raise AssertionError(f"exit code {code}")
        return digest(*outputs)

    return run


def digest(*folders: str) -> str:
    """Of all files in them, but for those that hold times."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and not VOLATILE.fullmatch(path.name):
                total.update(f"{path.relative_to(folder)}".encode() + path.read_bytes())
    return total.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that reads files: what it needs, which of these are spoiled and how, and what it gives.

    exact: whether the file has a checksum, so that what is accepted must give the unspoiled result.
    """

    name: str
    files: str
    needs: tuple[str, ...]
    run: Callable[[], str]
    mutations: list[Mutation] = field(default_factory=lambda: BYTES)
    exact: bool = False


CLIPS, LATENTS, MODELS = ("clips",), ("latents",), ("tokenizer/model", "video/model")
ENCODE = command(f"encode {LINES['encode']} processes=1", "latents")
GENERATE = command(f"generate {LINES['generate']}", "generated")
IMPORT = command("data import source=raw out=imported", "imported")
RELEASED = command("data import source=release out=imported", "imported")
PYRAMIDS = command("data import source=release_latents tokenizer=release_tokenizer out=imported", "imported")
RESUME = command(f"train diffusion data=latents out=video {VIDEO.replace('steps=2', 'steps=3')}", "video/model")
SCORE = command(f"evaluate {LINES['evaluate']}")


def EVALUATE() -> str:
    """Evaluate; the figures."""
    SCORE()
    return repr(json.loads(Path("report/metrics.json").read_text())["runs"])


TARGETS = [
    Target(name="read", files="clips/dataset.json", needs=CLIPS, run=reader("clips"), mutations=JSON),
    Target(name="read", files="clips/*/*", needs=CLIPS, run=reader("clips"), exact=True),
    Target(name="read", files="latents/dataset.json", needs=LATENTS, run=reader("latents"), mutations=JSON),
    Target(name="read", files="latents/*/*", needs=LATENTS, run=reader("latents"), exact=True),
    Target(
        name="read",
        files="tokenizer/model/config.json",
        needs=("tokenizer/model",),
        run=reader("tokenizer"),
        mutations=JSON,
    ),
    Target(
        name="read",
        files="tokenizer/model/*.safetensors",
        needs=("tokenizer/model",),
        run=reader("tokenizer"),
        exact=True,
    ),
    Target(name="read", files="video/model/*.json", needs=("video/model",), run=reader("video"), mutations=JSON),
    Target(name="read", files="video/model/*.safetensors", needs=("video/model",), run=reader("video"), exact=True),
    Target(name="read", files="report/metrics.json", needs=("report",), run=reader("report"), mutations=JSON),
    Target(name="encode", files="clips/*/*", needs=(*CLIPS, "tokenizer/model"), run=ENCODE, exact=True),
    Target(
        name="export",
        files="clips/*/*",
        needs=CLIPS,
        run=command(f"data export {LINES['data export']}", "shards"),
        exact=True,
    ),
    Target(
        name="inspect",
        files="clips/*/*",
        needs=CLIPS,
        run=command(f"data inspect {LINES['data inspect']}", "page"),
        exact=True,
    ),
    Target(
        name="inspect",
        files="clips/dataset.json",
        needs=CLIPS,
        run=command(f"data inspect {LINES['data inspect']}", "page"),
        mutations=JSON,
    ),
    Target(name="generate", files="video/model/*.json", needs=(*CLIPS, *MODELS), run=GENERATE, mutations=JSON),
    Target(name="generate", files="video/model/*.safetensors", needs=(*CLIPS, *MODELS), run=GENERATE, exact=True),
    Target(name="evaluate", files="generated/*/*", needs=(*CLIPS, "generated"), run=EVALUATE, exact=True),
    Target(name="evaluate", files="report/scores/*", needs=(*CLIPS, "generated", "report"), run=EVALUATE, exact=True),
    Target(
        name="evaluate",
        files="report/metrics.json",
        needs=(*CLIPS, "generated", "report"),
        run=EVALUATE,
        mutations=JSON,
    ),
    Target(name="resume", files="video/run.json", needs=(*LATENTS, "video"), run=RESUME, mutations=JSON),
    Target(name="resume", files="video/checkpoints/*.json", needs=(*LATENTS, "video"), run=RESUME, mutations=JSON),
    Target(name="resume", files="video/checkpoints/*.pt", needs=(*LATENTS, "video"), run=RESUME, exact=True),
    Target(name="import", files="raw/*.csv", needs=("raw",), run=IMPORT, mutations=TABLE),
    Target(name="import", files="raw/*.[pnmajd]*", needs=("raw",), run=IMPORT),
    Target(name="import", files="imported/imported/*.json", needs=("raw", "imported"), run=IMPORT, mutations=JSON),
    Target(name="released", files="release/*/*", needs=("release",), run=RELEASED),
    Target(name="released", files="release/index.json", needs=("release",), run=RELEASED, mutations=JSON),
    Target(name="released", files="release_latents/*/*", needs=("release_latents", "release_tokenizer"), run=PYRAMIDS),
    Target(
        name="checkpoint",
        files="autoencoder.ckpt",
        needs=("autoencoder.ckpt",),
        run=command(f"import released {LINES['import released']}", "released"),
        exact=True,
    ),
]
COMMANDS = {
    "data generate": (),
    "train tokenizer": CLIPS,
    "encode": (*CLIPS, "tokenizer/model"),
    "train diffusion": LATENTS,
    "generate": (*CLIPS, *MODELS),
    "evaluate": (*CLIPS, "generated"),
    "data import": ("raw",),
    "data inspect": CLIPS,
    "data verify": CLIPS,
    "data export": CLIPS,
    "import released": ("autoencoder.ckpt",),
    "plan": (),
}
"""Every command whose words are spoiled, and what it reads."""
