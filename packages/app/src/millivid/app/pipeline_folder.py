"""A pipeline as one folder, here or on the hub: what lies where, which version, and the card that introduces it."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from torch import nn

from millivid.diffusion import VideoDiT, VideoModelInfo
from millivid.diffusion.model_info import FILE as INFO_FILE
from millivid.files import read_json, replacing_folder, write_json, write_text
from millivid.files.pretrained import CONFIG_NAME, WEIGHTS_NAME
from millivid.tokenizer import HierarchicalTokenizer
from millivid.training.provenance import commit

FORMAT, VERSION, FILE, CARD = "millivid-pipeline", 1, "pipeline.json", "README.md"
MODEL, TOKENIZER = "model", "tokenizer"
NEEDED = (
    *(f"{part}/{name}" for part in (MODEL, TOKENIZER) for name in (CONFIG_NAME, WEIGHTS_NAME)),
    f"{MODEL}/{INFO_FILE}",
)
WEIGHTS = Path(__file__).parent / "weights"
"""Trained by `millivid reproduce`."""
RUNS = ("millivid", "framepack", "full_resolution")
SHIPPED = {"tiny" if name == "millivid" else f"tiny_{name}": WEIGHTS / name for name in RUNS}
"""Pipelines that come with millivid-app, by name."""


@dataclass(frozen=True)
class Manifest:
    """What `pipeline.json` says."""

    format: str
    version: int


@dataclass(frozen=True)
class Parts:
    """Where a pipeline's video model and its tokenizer are."""

    model: Path
    tokenizer: Path

    @property
    def about(self) -> str | None:
        """What stands beside the video model: its figures, where it has some."""
        card = self.model / CARD
        return card.read_text(encoding="utf-8") if card.is_file() else None


def find_pipeline(name: str | Path) -> Parts:
    """The parts of a pipeline: one that is shipped, that a folder holds, or, for a str of two words, of the hub.

    Raises ValueError with one sentence for what is none, for half of one, and for one of another version.
    """
    if name in SHIPPED:
        return Parts(SHIPPED[str(name)], WEIGHTS / TOKENIZER)
    folder = Path(name)
    if not folder.is_dir():
        if isinstance(name, Path) or folder.exists() or str(name).count("/") != 1 or str(name).startswith((".", "/")):
            raise ValueError(
                f"no pipeline at {name}: expected {', '.join(SHIPPED)}, a folder with {FILE}, or a name of the hub, owner/name"
            )
        try:
            folder = Path(snapshot_download(str(name), allow_patterns=[FILE, *NEEDED, f"{MODEL}/{CARD}"]))
        except (OSError, ValueError) as error:  # which its errors are
            raise ValueError(
                f"no pipeline at {name}: it is no folder here, and the hub did not give it ({type(error).__name__})"
            ) from error
    _check(folder)
    return Parts(folder / MODEL, folder / TOKENIZER)


def _check(folder: Path) -> None:
    if not (folder / FILE).is_file():
        alone = (folder / CONFIG_NAME).is_file()
        rather = "it is a single model, give its tokenizer too" if alone else f"it has no {FILE}"
        raise ValueError(f"{folder} holds no pipeline: {rather}")
    found = read_json(folder / FILE, Manifest, then="save the pipeline again")
    if (found.format, found.version) != (FORMAT, VERSION):
        raise ValueError(
            f"{folder} is {found.format} {found.version}, and this version of millivid reads {FORMAT} {VERSION}; use the "
            "version that saved it, or save it again"
        )
    for name in NEEDED:
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is half a pipeline: {name} is missing; save or download it again")


def save_pipeline(
    folder: Path,
    tokenizer: HierarchicalTokenizer,
    model: VideoDiT,
    info: VideoModelInfo,
    about: str | None,
    license: str | None,
) -> None:
    """Write a pipeline's folder, whole or not at all. Raises ValueError where something is there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; choose another folder, or delete it")
    with replacing_folder(folder) as made:
        model.save_pretrained(made / MODEL)
        info.save(made / MODEL)
        tokenizer.save_pretrained(made / TOKENIZER)
        if about is not None:
            write_text(made / MODEL / CARD, about)
        write_text(made / CARD, _card(model, info, about, license))
        write_json(made / FILE, {"format": FORMAT, "version": VERSION})


def push_pipeline(repo: str, save: Callable[[Path], object], private: bool | None, token: str | None) -> str:
    """Put what `save` writes on the hub; returns its address. Raises ValueError where the hub does not take it."""
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "pipeline"
        save(folder)
        api = HfApi(token=token)
        try:
            name = api.create_repo(repo, private=private, exist_ok=True).repo_id
            return str(api.upload_folder(repo_id=name, folder_path=folder, commit_message="A MilliVid pipeline"))
        except (OSError, ValueError) as error:
            raise ValueError(f"the hub did not take {repo} ({type(error).__name__}): {error}") from error


def _card(model: VideoDiT, info: VideoModelInfo, about: str | None, license: str | None) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in info.schedule.items() if key != "name")
    world = info.trained_on.get("world")
    lines = [
        "---",
        *([f"license: {license}"] if license else []),
        "library_name: millivid",
        "tags: [world-model, video-generation, long-memory]",
        "---",
        "# A MilliVid pipeline",
        "",
        "A tokenizer, a video model and the rollout schedule that it was trained for (arXiv 2606.09056).",
        "",
        "```python",
        "from millivid.app import VideoPipeline",
        "",
        'pipeline = VideoPipeline.from_pretrained("THIS FOLDER, OR ITS NAME ON THE HUB")',
        "```",
        "",
        f"- schedule: {info.schedule['name']}, {settings}",
        f"- parameters: {_count(model):,} of the video model",
        f"- training examples: {'unknown' if info.examples is None else f'{info.examples:,}'}",
        f"- data: {f'the world {world} of millivid data generate' if world else 'see their owner'}",
        f"- actions: {', '.join(info.action_names) or 'not named'}",
        f"- context: {info.context or 'unknown'} frames; sampled by {info.solver} with {info.sampling_steps} evaluations",
        f"- saved by millivid-app {metadata.version('millivid-app')}, commit {(commit() or 'unknown')[:12]}",
        f"- licence of the weights: {license or 'not stated'}",
        "",
    ]
    return "\n".join([*lines, *([about.replace("# ", "## ", 1)] if about else [])])


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def chosen(
    pipeline: str | None, model: Path | None, tokenizer: Path | None, otherwise: str | None = None
) -> tuple[str | Path, Path | None]:
    """What settings name, as `VideoPipeline.from_pretrained` takes it; raises ValueError for too little or too much of it."""
    if (model is None) != (tokenizer is None):
        raise ValueError("model and tokenizer belong together; give both, or pipeline=")
    if model is not None and pipeline is not None:
        raise ValueError("pipeline and model are both given; give pipeline=, or model= and tokenizer=")
    name = model or pipeline or otherwise
    if name is None:
        raise ValueError("no model is named; give pipeline=, or model= and tokenizer=")
    return name, tokenizer
