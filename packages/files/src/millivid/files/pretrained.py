"""Saving a model as safetensors with its config, and loading it from a folder or the Hugging Face hub."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from millivid.files.atomic import file_hash, replacing, write_text
from millivid.files.json_reader import read_json, typed

Config = TypeVar("Config")
Module = TypeVar("Module", bound=nn.Module)

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
HASH_KEY = "weights_sha256"
"""Where the config has the SHA-256 of the weights; folders of earlier versions lack it."""
SLACK, MOST_CONSTANTS = 1 << 14, 1 << 28
"""Weights by which a model may exceed its file, to say what differs; numbers that it may keep beside them (positions)."""
Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class TakenWeights:
    """Which tensors a model took over from a saved one; what it has beyond them; and what was left there."""

    taken: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.taken)} of {len(self.taken) + len(self.new)} tensors taken over"]
        parts += [f"new: {', '.join(self.new)}"] if self.new else []
        parts += [f"left out: {', '.join(self.left_out)}"] if self.left_out else []
        return "; ".join(parts)


class PretrainedModel(nn.Module, ModelHubMixin, Generic[Config]):
    """A module built from one config dataclass, with `save_pretrained`, `from_pretrained` and `push_to_hub`."""

    config_class: ClassVar[type]

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def save_pretrained(self, save_directory: str | Path, **hub: Any) -> str | None:
        """Save the model into a folder, whole or not at all; a model that is there already keeps standing until then.

        hub: as for `ModelHubMixin.save_pretrained`. Raises ValueError for weights that are not finite, OSError for a full disk.
        """
        folder, values = Path(save_directory), dataclasses.asdict(self.config)  # type: ignore[call-overload]
        save_weights(folder, {"class": type(self).__name__, **values}, self.state_dict())
        if not (folder / "README.md").exists():
            write_text(folder / "README.md", str(self.generate_model_card()))
        if hub.pop("push_to_hub", False):
            return self.push_to_hub(hub.pop("repo_id", None) or folder.name, **hub)
        return None

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
        saved, sha256 = values.pop("class", None), values.pop(HASH_KEY, None)
        if saved != cls.__name__:
            saved = repr(saved)[:80] if saved else "model of another kind"
            raise ValueError(f"{config_file.parent} holds a {saved}, not a {cls.__name__}")
        if unknown := sorted(values.keys() - {field.name for field in dataclasses.fields(cls.config_class)}):
            raise ValueError(f"{config_file} has settings that this version does not know: {', '.join(unknown)}")
        config: Config = typed(values, cls.config_class, str(config_file), then=then)
        if sha256 is not None and file_hash(weights_file) != sha256:
            raise ValueError(
                f"{weights_file} is damaged or of another model: its SHA-256 is not the one in {config_file.name}; "
                "save or download it again"
            )
        try:
            with safe_open(weights_file, "pt") as file:
                found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{weights_file} is damaged ({error}); save or download it again") from error
        try:
            model, different = made_for(found, lambda: cls(config))
        except (ValueError, RuntimeError, OverflowError) as error:
            raise ValueError(f"{config_file} describes no {cls.__name__} ({error}); {then}") from error
        if different:
            raise ValueError(
                f"{weights_file} does not fit its {CONFIG_NAME}: {len(different)} tensors differ, first {different[0][0]} "
                f"(expected {different[0][1] or 'none'}, found {different[0][2] or 'none'})"
            )
        fill(model, load_file(weights_file), str(weights_file))
        return model.eval()


def take_weights(model: PretrainedModel[Any], folder: str | Path) -> TakenWeights:
    """Copy into a model what a saved one of its class has under the same name and in the same shape.

    Raises ValueError where that cannot be loaded, and where nothing of it fits.
    """
    saved, own = type(model).from_pretrained(folder).state_dict(), model.state_dict()
    fitting = {name: saved[name] for name in own if name in saved and saved[name].shape == own[name].shape}
    if not any(name in fitting for name, _ in model.named_parameters()):
        raise ValueError(f"{folder} shares no weight of name and shape with the model; give one of similar settings")
    model.load_state_dict(fitting, strict=False)
    return TakenWeights(
        taken=tuple(fitting),
        new=tuple(name for name in own if name not in fitting),
        left_out=tuple(name for name in saved if name not in fitting),
    )


def save_weights(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Write `model.safetensors` and, with its hash, `config.json`; either takes the old one's place when both are whole.

    Raises ValueError for weights that are not finite, OSError where they cannot be written.
    """
    file = folder / WEIGHTS_NAME
    check_finite(state, f"{file} is not written, for the model")
    with replacing(folder / CONFIG_NAME) as config_file, replacing(file) as partial:
        try:
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial)
        except SafetensorError as error:
            raise OSError(
                f"{file} could not be written ({error}); make room, and run the same command again"
            ) from error
        values = {**config, HASH_KEY: file_hash(partial)}
        config_file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def fill(model: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Put weights of the model's names and shapes into it. Raises ValueError where they are no finite numbers."""
    for key, tensor in model.state_dict().items():
        if state[key].is_floating_point() != tensor.is_floating_point():
            raise ValueError(
                f"{name}: {key} is {state[key].dtype}, but {tensor.dtype} was expected; save the model again"
            )
    model.load_state_dict(dict(state))
    check_finite(model.state_dict(), name)


def check_finite(state: Mapping[str, Tensor], name: str) -> None:
    """Raise ValueError, beginning with `name`, for a tensor with NaN or infinity."""
    for key, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} has NaN or infinity in {key}; take weights from before that, or train anew")


def made_for(
    found: Shapes, make: Callable[[], Module]
) -> tuple[Module, list[tuple[str, tuple[int, ...] | None, tuple[int, ...] | None]]]:
    """The model that `make` makes, and where its tensors are of other shapes than found: name, its shape, and that; or None.

    Raises ValueError as soon as the model turns out to be much larger than what was found.
    """

    def at_most(numbers: int, otherwise: str) -> Callable[[nn.Module, str, Tensor | None], None]:
        def count(_: nn.Module, name: str, tensor: Tensor | None) -> None:
            nonlocal numbers
            numbers -= 0 if tensor is None else tensor.numel()
            if numbers < 0:
                raise ValueError(f"its sizes make {otherwise}")

        return count

    weights, constants = 2 * sum(map(math.prod, found.values())) + SLACK, MOST_CONSTANTS
    hooks = (  # a weight takes memory when it is filled, which is after it is registered
        register_module_parameter_registration_hook(at_most(weights, "a model far larger than its weights")),
        register_module_buffer_registration_hook(at_most(constants, f"tables of more than {constants:,} numbers")),
    )
    try:
        model = make()
    finally:
        for hook in hooks:
            hook.remove()
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    names = sorted(expected.keys() | found.keys())
    return model, [
        (name, expected.get(name), found.get(name)) for name in names if expected.get(name) != found.get(name)
    ]


def fingerprint(model: nn.Module) -> str:
    """The first 16 hex digits of a hash over a model's weights: equal exactly when every value is."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
