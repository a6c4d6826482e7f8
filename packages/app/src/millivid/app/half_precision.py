"""Trained models in half precision: what a repository can hold."""

import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from millivid.files import read_json, replacing_folder
from millivid.files.pretrained import CONFIG_NAME, WEIGHTS_NAME, save_weights


def round_to_half(model: Path, out: Path) -> None:
    """Save a saved model once more with its weights in float16, which loads as float32; the folder appears whole.

    Does nothing where `out` is there already. Raises ValueError for weights that float16 does not reach.
    """
    if out.is_dir():
        return
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(model / WEIGHTS_NAME).items()
    }
    beyond = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if beyond:
        raise ValueError(
            f"{beyond[0]} of {model} has values beyond float16's 65,504; train it anew with a lower training.lr"
        )
    with replacing_folder(out) as folder:
        for file in model.glob("*.json"):
            shutil.copyfile(file, folder / file.name)
        save_weights(folder, read_json(model / CONFIG_NAME, dict[str, Any]), tensors)
