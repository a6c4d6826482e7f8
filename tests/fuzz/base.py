"""A small one of everything that MilliVid reads: clips, latents, models, runs, reports, videos with tables, a release."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from PIL import Image
from safetensors import safe_open

from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
TOKENIZER = (
    "model.image_size=[32,32] model.patch_size=[8,8] model.num_levels=3 model.latent_channels=4 model.width=16 model.depth=1 "
    "model.num_heads=2 training.steps=2 training.batch_size=4 training.warmup=1 training.checkpoint_every=1 training.threads=1"
)
VIDEO = (
    "schedule.name=millivid schedule.windows=[1,2,4] schedule.history=16 model.width=24 model.depth=1 model.num_heads=2 "
    "model.normalize_latents=true training.steps=2 training.batch_size=2 training.warmup=1 training.checkpoint_every=1 "
    "training.threads=1"
)
LINES = {
    "data generate": "world=voxel world.size=[32,32] out=clips frames=40 context=20 train_videos=2 test_videos=1 "
    "test_candidates=1 processes=1",
    "train tokenizer": f"data=clips out=tokenizer {TOKENIZER}",
    "encode": "data=clips tokenizer=tokenizer/model out=latents",
    "train diffusion": f"data=latents out=video {VIDEO}",
    "generate": "data=clips tokenizer=tokenizer/model model=video/model out=generated context=20 frames=4 steps=2 count=1",
    "evaluate": "runs.ours=generated reference=clips context=20 frames=4 out=report metrics=[psnr,ssim]",
    "data import": "source=raw out=imported",
    "data inspect": "data=clips out=page",
    "data verify": "data=clips",
    "data export": "data=clips out=shards split=train",
    "import released": "autoencoder=autoencoder.ckpt image_size=[32,96] patch_size=[4,8] out=released",
    "plan": "schedule=millivid schedule.windows=[1,4,16] schedule.history=16 tokens_per_level=[16,4,1] out=plan.png",
}
"""Every command, small."""


def millivid(words: str, folder: Path) -> None:
    """Run a command in the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "millivid.app.cli", *words.split()], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"millivid {words}\n{done.stderr}")


def make_base(folder: Path) -> None:
    """Fill the folder."""
    os.environ.update(OMP_NUM_THREADS="1", MILLIVID_DOWNLOAD="0", HF_HUB_OFFLINE="1")
    draw = np.random.default_rng(0)
    make_raw(folder / "raw", draw)
    make_release(folder, draw)
    for name, words in LINES.items():
        if name != "data verify":
            millivid(f"{name} {words}", folder)


def make_raw(folder: Path, draw: np.random.Generator) -> None:
    """Videos of several containers, with tables of several kinds, and an image."""
    folder.mkdir()
    frames = draw.integers(0, 256, (12, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    for name, codec in {"a.mp4": "libx264", "b.avi": "mpeg4", "c.mkv": "libx264", "d.mov": "libx264"}.items():
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=10, width=32, height=32, pix_fmt="yuv420p")
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())
    turns, x = draw.integers(0, 3, 12), draw.normal(size=12)
    rows = [f"{i / 10},{turns[i]},{x[i]:.4f},0,0,{i}.5,0" for i in range(12)]
    (folder / "a.csv").write_text("time,action,x,y,z,yaw,pitch\n" + "\n".join(rows) + "\n")
    columns = {"action": turns, "x": x, "y": x * 0, "z": x, "yaw": x * 90, "pitch": x * 0}
    parquet.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), folder / "b.parquet")
    np.save(folder / "c.actions.npy", turns)
    np.save(folder / "c.poses.npy", np.stack([columns[name] for name in ("x", "y", "z", "yaw", "pitch")], 1))
    Image.fromarray(frames[0]).save(folder / "e.png")
    Image.fromarray(frames[1]).save(folder / "f.jpg")


def make_release(folder: Path, draw: np.random.Generator) -> None:
    """A checkpoint, and a dataset of videos and one of latents, laid out as the released ones are."""
    with safe_open(GOLDEN / "ae_small_adaptive.safetensors", "pt") as file:
        state = {key.removeprefix("model."): file.get_tensor(key) for key in file.keys() if key.startswith("model.")}  # noqa: SIM118
    torch.save({"model": state, "optimizer": {}, "step": 7}, folder / "autoencoder.ckpt")
    videos, latents = folder / "release" / "000", folder / "release_latents" / "000"
    videos.mkdir(parents=True)
    latents.mkdir(parents=True)
    for number in range(2):
        with av.open(str(videos / f"{number:03d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=20, width=32, height=32, pix_fmt="yuv420p")
            for frame in draw.integers(0, 256, (6, 32, 32, 3), np.uint8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())
        table = draw.normal(size=(6, 6)).astype(np.float32)
        table[:, 0] = draw.integers(0, 3, 6)
        np.save(videos / f"{number:03d}.npy", table)
        (latents / f"{number:03d}.pyramid").write_bytes((GOLDEN / "data" / "small.pyramid").read_bytes())
    grids = TokenizerConfig(
        image_size=(32, 64), patch_size=(8, 8), num_levels=3, latent_channels=6, width=16, depth=1, num_heads=2
    )
    HierarchicalTokenizer(grids).save_pretrained(folder / "release_tokenizer")
    (videos.parent / "index.json").write_text(json.dumps({"000/000": 6, "000/001": 6}))
    (latents.parent / "index.json").write_text(json.dumps({"000/000": 20, "000/001": 20}))
