"""Saving a model as safetensors with its config, and loading it from a folder or the Hugging Face hub."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from millivid.files.atomic import replacing, write_text
from millivid.files.json_reader import read_json, typed, unknown_keys

Config = TypeVar("Config")

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


class PretrainedModel(nn.Module, ModelHubMixin, Generic[Config]):
    """A module built from one config dataclass, with `save_pretrained`, `from_pretrained` and `push_to_hub`."""

    config_class: ClassVar[type]

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def _save_pretrained(self, save_directory: Path) -> None:
        values = dataclasses.asdict(self.config)  # type: ignore[call-overload]
        content = json.dumps({"class": type(self).__name__, **values}, indent=2) + "\n"
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        with replacing(save_directory / WEIGHTS_NAME) as partial:
            save_file(state, partial)
        write_text(save_directory / CONFIG_NAME, content)  # last: now it is whole

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """What `save_pretrained` leaves as README.md: the class and its config."""
        config = json.dumps(dataclasses.asdict(self.config), indent=2)  # type: ignore[call-overload]
        return ModelCard(
            f"# {type(self).__name__}\n\nA model of MilliVid (arXiv 2606.09056).\n\n```json\n{config}\n```\n"
        )

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **hub: Any) -> Self:
        """The model saved in a folder, or, for a str that names none, on the hub (`hub` goes to its download).

        Raises ValueError with one sentence when the folder holds no such model or its weights do not fit its config.
        """
        folder = Path(pretrained_model_name_or_path)
        if folder.is_dir():
            files = [folder / CONFIG_NAME, folder / WEIGHTS_NAME]
        elif isinstance(pretrained_model_name_or_path, Path) or folder.exists() or str(folder).count("/") != 1:
            raise ValueError(f"no model at {folder}: expected a folder with {CONFIG_NAME} and {WEIGHTS_NAME}")
        else:
            try:
                name = str(pretrained_model_name_or_path)
                files = [Path(hf_hub_download(name, file, **hub)) for file in (CONFIG_NAME, WEIGHTS_NAME)]
            except OSError as error:
                raise ValueError(
                    f"no model at {folder}: it is no folder here, and the hub did not give it ({type(error).__name__})"
                ) from error
        return cls._from_files(*files)

    @classmethod
    def _from_files(cls, config_file: Path, weights_file: Path) -> Self:
        for file in (config_file, weights_file):
            if not file.is_file():
                raise ValueError(f"{file.parent} holds no {file.name}, so it is no saved {cls.__name__}")
        then = "save the model again"
        values = read_json(config_file, dict[str, Any], then=then)
        saved = values.pop("class", None)
        if saved != cls.__name__:
            raise ValueError(f"{config_file.parent} holds a {saved or 'model of another kind'}, not a {cls.__name__}")
        if unknown := unknown_keys(values, cls.config_class):
            raise ValueError(f"{config_file} has settings that this version does not know: {', '.join(unknown)}")
        config: Config = typed(values, cls.config_class, str(config_file), then=then)
        try:
            model = cls(config)
            state = load_file(weights_file)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{config_file} describes no {cls.__name__} ({error}); {then}") from error
        except SafetensorError as error:
            raise ValueError(f"{weights_file} is damaged ({error}); save or download it again") from error
        expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if expected != found:
            different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
            raise ValueError(
                f"{weights_file} does not fit its {CONFIG_NAME}: {len(different)} tensors differ, first {different[0]} "
                f"(expected {expected.get(different[0], 'none')}, found {found.get(different[0], 'none')})"
            )
        model.load_state_dict(state)
        return model.eval()


def fingerprint(model: nn.Module) -> str:
    """The first 16 hex digits of a hash over a model's weights: equal exactly when every value is."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
