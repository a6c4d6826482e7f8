"""`millivid export web`: a folder of static files in which a model is walked, with no server behind them."""

import base64
import contextlib
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

import numpy as np

from millivid.app.pipeline import VideoPipeline
from millivid.app.pipeline_folder import chosen
from millivid.command import REQUIRED
from millivid.export.player import PLAN, Player
from millivid.export.to_onnx import check_opset, export_onnx, load, write_plan
from millivid.files import file_hash, read_json, replacing, replacing_folder, write_json
from millivid.files.values import check_number
from millivid.play import in_a_world
from millivid.play.server import PAGE

SCRIPTS = Path(__file__).parent / "web"
SHARED = ("index.html", "play.css", "play.js", "icon.svg")
"""Of the served page, whose engine is another."""
RUNTIME_VERSION = "1.30.0"
RUNTIME_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
RUNTIME = {
    "wasm": ("ort.wasm.min.mjs", "ort-wasm-simd-threaded"),
    "webgpu": ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify"),
}
"""Of onnxruntime-web, for each way to compute: its module, and the name of what it loads."""
SITE = "site.json"


@dataclass(frozen=True, kw_only=True)
class ExportWebConfig:
    """What the site offers.

    pipeline: a saved one, its name on the hub, or null for the shipped one; model, tokenizer: a trained video model and its
    tokenizer instead. out: the site's folder. worlds: numbers of the held-out worlds to begin in. fps: frames per second, at
    most. precision: of the stored weights, fp16 for half the size. opset: of ONNX. runtime: where onnxruntime-web comes from:
    npm for a copy inside the site, the address of a folder of a CDN, or a local folder that holds its dist files. steps,
    solver, last_time: of the sampler, null for those that the model was measured with.
    """

    out: Path = REQUIRED
    pipeline: str | None = None
    model: Path | None = None
    tokenizer: Path | None = None
    worlds: tuple[int, ...] = (0, 1, 2, 3)
    fps: float = 20.0
    precision: Literal["fp32", "fp16"] = "fp16"
    opset: int = 20
    runtime: str = "npm"
    steps: int | None = None
    solver: str | None = None
    last_time: float | None = None

    def __post_init__(self) -> None:
        check_opset(self.opset)
        check_number(self.fps, "fps", 1, 240)
        chosen(self.pipeline, self.model, self.tokenizer, "tiny")
        if not self.worlds:
            raise ValueError("worlds is empty; name at least one, such as worlds=[0]")
        for world in self.worlds:
            check_number(world, "world", 0, 2**31 - 1, whole=True)


def export(config: ExportWebConfig) -> Path:
    """Export the models that are named as a site; returns the folder. Raises ValueError as `export_web` does."""
    pipeline = load(config.pipeline, config.model, config.tokenizer)
    made = export_web(
        pipeline,
        config.out,
        config.worlds,
        fps=config.fps,
        precision=config.precision,
        opset=config.opset,
        runtime=config.runtime,
        steps=config.steps,
        solver=config.solver,
        last_time=config.last_time,
    )
    size = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
    print(f"{size / 1e6:.1f} MB in {made}; try it: python -m http.server -d {made}")
    return made


def export_web(
    pipeline: VideoPipeline,
    folder: str | Path,
    worlds: Sequence[int] = (0, 1, 2, 3),
    *,
    fps: float = 20.0,
    precision: Literal["fp32", "fp16"] = "fp16",
    opset: int = 20,
    runtime: str = "npm",
    steps: int | None = None,
    solver: str | None = None,
    last_time: float | None = None,
) -> Path:
    """Write a site in which a pipeline's model is walked, into a new folder, which is returned; settings: `ExportWebConfig`.

    Raises ValueError as `export_onnx` does, where the model's actions are vectors, where its worlds are unknown or show it too
    few frames, and where onnxruntime-web cannot be had or is not the one that was pinned.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; choose another out= or delete it")
    if pipeline.model.config.action_type != "categorical" or not pipeline.model.config.num_actions:
        raise ValueError("the model's actions are no categories, for which there are no keys; give a model with those")
    try:
        beginnings = [in_a_world(pipeline.info, world) for world in worlds]
    except ValueError as error:
        raise ValueError(f"the site has nowhere to begin: {error.args[0].partition(';')[0]}") from error
    if len(beginnings[0].frames) < pipeline.num_context_frames:
        raise ValueError(
            f"the model says that it is given {len(beginnings[0].frames)} frames, but its schedule reads "
            f"{pipeline.num_context_frames}; train it again with millivid train"
        )
    with replacing_folder(folder) as made:
        modules = _put_runtime(runtime, made / "runtime")
        sampler = {"steps": steps, "solver": solver, "last_time": last_time}
        export_onnx(pipeline, made / "model", opset, precision, **sampler)  # type: ignore[arg-type]
        player = Player(made / "model")
        (made / "worlds").mkdir()
        starts = []
        for world, beginning in zip(worlds, beginnings, strict=True):
            path = made / "worlds" / f"{world}.bin"
            path.write_bytes(np.stack([player.encode(frame) for frame in beginning.frames]).tobytes())
            pose = [0.0] * 5 if beginning.poses is None else beginning.poses[-1].tolist()
            start = {"seed": world, "file": f"worlds/{path.name}", "pose": pose, "actions": beginning.actions.tolist()}
            starts.append(start | {"frames_per_action": beginning.frames_per_action})
        plan = read_json(made / "model" / PLAN, dict[str, Any])
        (made / "model" / "encode.onnx").unlink()  # the beginnings are encoded
        del plan["files"]["encode.onnx"]
        write_plan(made / "model", plan)
        (made / "page").mkdir()
        for file in [*(PAGE / name for name in SHARED), *sorted(SCRIPTS.iterdir())]:
            shutil.copyfile(file, made / "page" / file.name)
        (made / "page" / "index.html").rename(made / "index.html")
        loaded = [*(made / "model").iterdir(), *(made / "worlds").iterdir(), *made.glob("runtime/*.gz")]
        files = {
            str(file.relative_to(made)): {"bytes": file.stat().st_size, "sha256": file_hash(file)}
            for file in sorted(loaded)
        }
        site = {
            "format": "millivid-site",
            "version": 1,
            "fps": fps,
            "runtime": modules,
            "worlds": starts,
            "files": files,
        }
        write_json(made / SITE, site)
    return folder


def _put_runtime(source: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Copy onnxruntime-web into the site, or name where it is; its module and its binary for each way to compute."""
    if source.startswith("https://"):
        address = source.rstrip("/")
        return {way: {"module": f"{address}/{module}", "binary": None} for way, (module, _) in RUNTIME.items()}
    folder.mkdir()
    names = [name for module, loads in RUNTIME.values() for name in (module, f"{loads}.mjs", f"{loads}.wasm")]
    content = _of_npm(names) if source == "npm" else _of_folder(Path(source), names)
    for name, value in content.items():
        if name.endswith(".wasm"):  # not every server compresses, and the page can unpack
            name, value = f"{name}.gz", gzip.compress(value, mtime=0)
        (folder / name).write_bytes(value)
    return {
        way: {"module": f"runtime/{module}", "binary": f"runtime/{loads}.wasm.gz"}
        for way, (module, loads) in RUNTIME.items()
    }


def _of_folder(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Files of onnxruntime-web that lie in a folder. Raises ValueError for one that is not there."""
    for name in names:
        if not (folder / name).is_file():
            raise ValueError(
                f"runtime={folder} holds no {name}; give npm, an address, or the folder dist of onnxruntime-web "
                f"{RUNTIME_VERSION}"
            )
    return {name: (folder / name).read_bytes() for name in names}


def _of_npm(names: Sequence[str]) -> dict[str, bytes]:
    """The same files from npm."""
    with tarfile.open(fileobj=io.BytesIO(_package())) as archive:
        return {name: archive.extractfile(f"package/dist/{name}").read() for name in names}  # type: ignore[union-attr]


def _package() -> bytes:
    """The package as npm has it, from the cache where it lies there; raises ValueError where it is another one."""
    name = f"onnxruntime-web-{RUNTIME_VERSION}.tgz"
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millivid" / name
    if kept.is_file() and _sha512(content := kept.read_bytes()) == RUNTIME_SHA512:
        return content
    address = f"{_registry()}/onnxruntime-web/-/{name}"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    except (OSError, HTTPException) as error:
        raise ValueError(
            f"{name} cannot be downloaded from npm ({error}); give runtime=FOLDER with its dist files, or a CDN's address"
        ) from error
    if _sha512(content) != RUNTIME_SHA512:
        raise ValueError(f"{name} from npm is not the one that was pinned; download it again, or give runtime=FOLDER")
    with contextlib.suppress(OSError):  # it is kept where that is possible
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as partial:
            partial.write_bytes(content)
    return content


def _registry() -> str:
    """Where npm is told to look."""
    if npm := shutil.which("npm"):
        told = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False).stdout
        if told.strip().startswith("http"):
            return told.strip().rstrip("/")
    return "https://registry.npmjs.org"


def _sha512(content: bytes) -> str:
    return base64.b64encode(hashlib.sha512(content).digest()).decode()
