"""Trained models in half precision: what a repository can hold."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from millivid.files import replacing_folder

WEIGHTS = "model.safetensors"


def round_to_half(model: Path, out: Path) -> None:
    """Save a saved model once more with its weights in float16, which loads as float32; the folder appears whole.

    Does nothing where `out` is there already. Raises ValueError for weights that float16 does not reach.
    """
    if out.is_dir():
        return
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(model / WEIGHTS).items()
    }
    beyond = [
        name for name, tensor in tensors.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if beyond:
        raise ValueError(
            f"{beyond[0]} of {model} has values beyond float16's 65,504; train it anew with a lower training.lr"
        )
    with replacing_folder(out) as folder:
        for file in model.glob("*.json"):
            shutil.copyfile(file, folder / file.name)
        save_file(tensors, folder / WEIGHTS)
