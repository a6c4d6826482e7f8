"""Turn the authors' released checkpoints into saved models of ours."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZipFile

import torch
from huggingface_hub import hf_hub_download
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from millivid.command import REQUIRED, ConfigError, alone_in_out
from millivid.diffusion import VideoDiT, VideoDiTConfig, VideoModelInfo
from millivid.diffusion.released import from_released_names
from millivid.files import replacing_folder
from millivid.files.pretrained import fill, made_for
from millivid.rollout import make_schedule
from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig, fingerprint

# Names in the release, by what `video=` calls them where `hub=` is given.
RELEASED = {
    "autoencoder": "autoencoder_3zg3ovzdhnun_128000.ckpt",
    "millivid": "millivid_192k.ckpt",
    "framepack": "framepack_192k.ckpt",
    "full_resolution": "full_resolution_rollout_192k.ckpt",
}
SCHEDULES: dict[str, dict[str, object]] = {
    "millivid": {"name": "millivid", "windows": (3, 12, 48, 192), "history": 768},
    "framepack": {"name": "framepack", "num_targets": 3, "context": (3, 12, 48, 192)},
    "full_resolution": {"name": "full_resolution", "num_frames": 14},
}
SAMPLING_STEPS, HORIZONS, ACTION_NAMES = 50, (64, 256, 768), ("forward", "left", "right")
"""What the paper samples with, measures at, and calls its three actions."""
PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8, torch.bool)
MOST_LISTED = 40
"""Tensors that do not fit."""
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class ImportReleasedConfig:
    """What to import.

    autoencoder: a released .ckpt; video: a released .ckpt, or null. hub: null, or charatan/millivid to fetch them there,
    where video is millivid, framepack or full_resolution. out: gets the folders `tokenizer` and `video`. image_size,
    patch_size, variant: of the tokenizer, which its file does not say. schedule: the rollout schedule of the video
    model; by default the paper's, by the name that the file's begins with.
    """

    autoencoder: str = "autoencoder"
    video: str | None = None
    hub: str | None = None
    out: Path = REQUIRED
    image_size: tuple[int, int] = (256, 256)
    patch_size: tuple[int, int] = (16, 16)
    variant: str = "adaptive"
    schedule: dict[str, object] = field(default_factory=dict)


@alone_in_out
def import_released(config: ImportReleasedConfig) -> Path:
    """Write `out/tokenizer` and, if asked for, `out/video`; returns `out`.

    Raises ConfigError with one sentence for a file that is no such checkpoint, listing the tensors that do not fit.
    """
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise ConfigError(f"{config.out} is not empty; choose another out= or delete it")
    autoencoder = read_checkpoint(_file(config, config.autoencoder))
    tokenizer = tokenizer_of(autoencoder, config)
    video, schedule = None, None
    if config.video is not None:
        video = video_model_of(read_checkpoint(_file(config, config.video)), tokenizer, config.video)
        settings = config.schedule or _schedule_of(config.video)
        schedule = make_schedule(**settings)  # type: ignore[arg-type]
        schedule.chunk(video.config.tokens_per_level)
    with replacing_folder(config.out.resolve()) as folder:
        tokenizer.save_pretrained(folder / "tokenizer")
        if video is not None and schedule is not None:
            video.save_pretrained(folder / "video")
            info = VideoModelInfo(
                schedule=schedule.settings(),
                tokenizer=fingerprint(tokenizer),
                sampling_steps=SAMPLING_STEPS,
                context=schedule.chunk(video.config.tokens_per_level).num_context_frames,
                horizons=HORIZONS,
                action_names=ACTION_NAMES,
            )
            info.save(folder / "video")
    return config.out


class _Unread:
    """Stands where a checkpoint has an object of a class that torch does not read; takes whatever it is made of."""

    def __new__(cls, *_: object, **__: object) -> "_Unread":
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The model's tensors in a released checkpoint, by name. Nothing in the file is executed; its CRCs are checked."""
    if not file.is_file():
        raise ConfigError(f"{file} is not there; give a released .ckpt, or hub=charatan/millivid to fetch it")
    try:
        with ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > file.stat().st_size:
                raise ValueError("its entries are larger than the file")
            if damaged := archive.testzip():  # torch looks at no CRC of a file that it maps
                raise ValueError(f"the content of {damaged} is not what was written")
        # Beside the model may lie a loader's or a scheduler's objects; their classes are neither looked up nor called.
        others = [(_Unread, name) for name in get_unsafe_globals_in_checkpoint(file)]
        with safe_globals(others):  # type: ignore[arg-type]
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a pickle's reader fails in as many ways as Python does
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"{file} cannot be read as a checkpoint of plain tensors ({reason[:120]})") from error
    state = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(name, str) for name in state):
        raise ConfigError(f"{file} holds no state dict under 'model', as the released checkpoints do")
    for name, value in state.items():
        if (why := _unfit(value)) is not None:
            raise ConfigError(
                f"{file}: {name[:200]!r} {why}; a released checkpoint has plain tensors of finite numbers"
            )
    return dict(state)


def _unfit(value: object) -> str | None:
    """Why a value is none that a model could have, None where it could."""
    if not isinstance(value, Tensor):
        return "is no tensor"
    if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in PLAIN:
        return f"is a tensor of {value.dtype}, {value.layout}, on {value.device}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"has the shape {tuple(value.shape)}, for which its bytes are too few"
    return None if torch.isfinite(value).all() else "has NaN or infinity"


def tokenizer_of(state: Mapping[str, Tensor], config: ImportReleasedConfig) -> HierarchicalTokenizer:
    """The tokenizer that a released autoencoder's tensors describe."""
    try:
        encoder = _transformer_sizes(state, "encoder.transformer.", _size(state, "encoder.patchify.weight"))
        decoder = _transformer_sizes(state, "decoder.transformer.", _size(state, "decoder.unbottleneck.weight"))
        made = TokenizerConfig(
            image_size=config.image_size,
            patch_size=config.patch_size,
            variant=config.variant,  # type: ignore[arg-type]
            num_levels=_size(state, "encoder.level_embedding.weight"),
            latent_channels=_size(state, "encoder.bottleneck.weight"),
            **encoder,
            **{f"decoder_{name}": value for name, value in decoder.items() if decoder != encoder},
        )
    except KeyError as error:
        raise ConfigError(f"{config.autoencoder} lacks {error}; it is no released autoencoder") from error
    except ValueError as error:
        raise ConfigError(f"{config.autoencoder} does not fit image_size and patch_size: {error}") from error
    return _loaded(lambda: HierarchicalTokenizer(made), state, config.autoencoder)


def video_model_of(state: Mapping[str, Tensor], tokenizer: HierarchicalTokenizer, name: str) -> VideoDiT:
    """The video model that a released checkpoint's tensors describe; its copy of the decoder is left out."""
    state = from_released_names({key: value for key, value in state.items() if not key.startswith("decoder.")})
    narrow = state.get("patchify.kernels.0.0.weight")
    own = narrow is not None or "patchify.kernels.0.weight" in state
    try:
        sizes = _transformer_sizes(state, "", _size(state, "level_embedding.weight", 1))
        levels = _size(state, "level_embedding.weight")
        if levels > tokenizer.config.num_levels:
            raise ConfigError(f"{name} has {levels} levels, but the autoencoder has {tokenizer.config.num_levels}")
        channels = _size(state, "head.linear.weight")
        if channels != tokenizer.config.latent_channels:
            raise ConfigError(
                f"{name} has latents of {channels} channels, but the autoencoder's have {tokenizer.config.latent_channels}"
            )
        made = VideoDiTConfig(
            grids=tokenizer.config.grids[:levels],
            latent_channels=channels,
            num_actions=_size(state, "action_embedding.weight"),
            patchify="framepack" if own else "linear",
            bottleneck=None if narrow is None else _size(state, "patchify.kernels.0.0.weight"),
            **sizes,
        )
    except KeyError as error:
        raise ConfigError(f"{name} lacks {error}; it is no released video model") from error
    return _loaded(lambda: VideoDiT(made), state, name)


def _transformer_sizes(state: Mapping[str, Tensor], prefix: str, width: int) -> dict[str, Any]:
    blocks = {m[1] for name in state if (m := re.match(re.escape(prefix) + r"blocks\.(\d+)\.", name))}
    head = _size(state, f"{prefix}blocks.0.attn.q_norm.weight")
    if odd := blocks - {str(number) for number in range(len(blocks))}:
        raise KeyError(f"blocks 0 to {len(blocks) - 1} (it has a block {min(odd)[:40]})")
    return {"width": width, "depth": len(blocks), "num_heads": width // head}


def _size(state: Mapping[str, Tensor], name: str, axis: int = 0) -> int:
    """A length of a tensor that must be there, and be no single number and not empty."""
    shape = state[name].shape
    if len(shape) <= axis or not shape[axis]:
        raise KeyError(f"{name} of a shape that fits (it has {tuple(shape)})")
    return shape[axis]


def _loaded(make: Callable[[], Model], state: Mapping[str, Tensor], what: str) -> Model:
    """The model with these weights, if they fit."""
    model, different = made_for({name: tuple(tensor.shape) for name, tensor in state.items()}, make)
    wrong = [
        f"lacks {name}" if found is None
        else f"has {name} besides" if expected is None
        else f"has {name} as {found} instead of {expected}"
        for name, expected, found in different
    ]  # fmt: skip
    if wrong:
        more = f" and {len(wrong) - MOST_LISTED} more" if len(wrong) > MOST_LISTED else ""
        raise ConfigError(f"{what} does not fit: it " + ", ".join(wrong[:MOST_LISTED]) + more)
    fill(model, state, what)
    return model.eval()


def _file(config: ImportReleasedConfig, name: str) -> Path:
    if config.hub is None:
        return Path(name)
    if name not in RELEASED:
        raise ConfigError(f"{config.hub} is not known to hold {name!r}; it holds {', '.join(RELEASED)}")
    try:
        return Path(hf_hub_download(config.hub, RELEASED[name]))
    except OSError as error:
        raise ConfigError(
            f"{config.hub} did not give {RELEASED[name]} ({type(error).__name__}); is there a network?"
        ) from error


def _schedule_of(video: str) -> dict[str, Any]:
    for name, settings in SCHEDULES.items():
        if Path(video).name.startswith(name):
            return settings
    raise ConfigError(f"the schedule of {video} is unknown; give schedule=millivid schedule.windows=... for example")
