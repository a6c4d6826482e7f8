"""From words to a config: what is accepted, and how everything else is named."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hydra.core.override_parser.types import Quote, QuotedString

from millivid.command import REQUIRED, ConfigError, build, load_config, to_plain


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    steps: int = 1000
    lr: float = 3e-4
    ema: float = 0.0
    threads: int | None = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"training.steps is {self.steps}; it must be at least 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"training.ema is {self.ema}; it must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    width: int = 64
    ratio: float = 4.0
    grids: tuple[tuple[int, int], ...] = ((4, 4), (2, 2))
    variant: Literal["adaptive", "cascaded"] = "adaptive"
    depth: int | None = None

    def __post_init__(self) -> None:
        if self.width % 4:
            raise ValueError(f"width {self.width} is not a multiple of 4")


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: Path = REQUIRED
    out: Path = Path("runs/first")
    model: ModelSettings = ModelSettings()
    schedule: dict[str, Any] = field(default_factory=lambda: {"name": "millivid", "history": 256})
    runs: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    tokenizer: Path | None = None
    flag: bool = False
    training: TrainingSettings = TrainingSettings()


def load(*words: str, conf: Path | None = None) -> Settings:
    return load_config(Settings, ["data=d", *words], conf)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "small.yaml").write_text("# @package _global_\nmodel:\n  width: 32\ntraining:\n  steps: 7\n")
    (folder / "large.yaml").write_text("# @package _global_\nmodel:\n  width: 128\n")
    return tmp_path / "conf"


def test_defaults() -> None:
    assert load() == Settings(data=Path("d"))


def test_values_get_their_fields_types() -> None:
    settings = load(
        "out=x/y", "model.width=8", "model.ratio=2", "model.grids=[[8,6],[4,3]]", "model.variant=cascaded",
        "model.depth=3", "flag=true", "training.lr=1e-3", "training.threads=null",
    )  # fmt: skip
    assert settings.out == Path("x/y")
    assert settings.model == ModelSettings(width=8, ratio=2.0, grids=((8, 6), (4, 3)), variant="cascaded", depth=3)
    assert isinstance(settings.model.ratio, float)
    assert settings.flag is True
    assert settings.training == TrainingSettings(lr=0.001, threads=None)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.widht=8", r"no setting model.widht; did you mean model.width\?"),
        ("training.learning_steps=8", "there is no setting training.learning_steps; did you mean"),
        ("width=8", r"did you mean model.width\?"),
        ("model.width=wide", "model.width is 'wide'; it takes a whole number"),
        ("model.width=2.5", "model.width is 2.5; it takes a whole number"),
        ("model.width=true", "model.width is True; it takes a whole number"),
        ("flag=1", "flag is 1; it takes true or false"),
        ("model.variant=other", "model.variant is 'other'; use adaptive or cascaded"),
        ("model.grids=[[8,6,1]]", r"model.grids\[0\] has 3 values, \[8, 6, 1\]; it takes 2"),
        ("model.width=6", "^model.width 6 is not a multiple of 4$"),
        ("training.steps=0", "training.steps is 0; it must be at least 1"),
        ("training.ema=1", "training.ema is 1.0"),
        ("model.width", "'model.width' is not of the form key=value"),
        ("model.width=[", r"the setting 'model.width=\[' cannot be read; it takes a whole number"),
        ("model.width=" + "[" * 5000, "cannot be read"),
        (
            "model.width=1,2",
            r"model.width=1,2 has several values; a list is \[1,2\], and --multirun makes a job for each",
        ),
        ("model.width=1" + 40 * "0", r"model.width is 10000000000000000000\.\.\.; it takes a number between"),
        ("model.ratio=inf", "model.ratio is inf; it takes a number between"),
        ("model.ratio=nan", "model.ratio is nan; it takes a number between"),
        ("schedule.history=1" + 40 * "0", "schedule.history is 1000.*; it takes a number between"),
        ("model=5", "model is 5; it takes settings by name, such as width"),
        ("~schedule", "a setting cannot be taken away; leave it out for its default"),
        ("~schedule.history=64", "a setting cannot be taken away"),
        ("--multirun", "--multirun makes jobs of a command of `millivid`"),
        ("schedule.name=5", "schedule.name is 5; it takes a word"),
        ("schedule.=5", "no setting schedule."),
        ("schedule.title=видео", "takes quotes: 'schedule.title='\"'\"'видео'"),
        ("runs=x", "runs is 'x'; it takes runs.NAME=x"),
        ("out=", "out is ''; it takes a path"),
        ("out=a\udcff", r"out is '?.*; rename it"),
    ],
)
def test_what_cannot_be_is_named(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(word)


TYPED = [
    "2026",
    "1e3",
    "nan",
    "true",
    "null",
    "видео",
    "Videos (1)",
    "a#b",
    "it's",
    "lr=1e-3",
    " x ",
    "a,b",
    "[x]",
    "{x}",
]
TYPED += ["$HOME", "${x}", "a\\b", "'a' b", "???x", "range(1,3)", '"', "'a','b'"]


@pytest.mark.parametrize("text", TYPED)
def test_paths_and_words_are_taken_as_they_are_typed(text: str) -> None:
    settings = load(f"out={text}", f"runs.видео={text}")
    assert settings.out == Path(text) and settings.runs == {"видео": text}
    quoted = QuotedString(text, Quote.double).with_quotes()
    assert load(f"out={quoted}").out == Path(text)
    assert load(f"columns=[{quoted},b]").columns == (text, "b")


def test_lists_of_words_and_null() -> None:
    assert load("columns=[a b, видео,it's,1e3,'x,y']").columns == ("a b", "видео", "it's", "1e3", "x,y")
    assert load("columns=[]").columns == () and load("columns=null", "tokenizer=null").tokenizer is None
    assert load("tokenizer='null'").tokenizer == Path("null")
    with pytest.raises(ConfigError, match=r"columns=a,b has several values; a list is \[a,b\]"):
        load("columns=a,b")


def test_a_required_setting_that_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"data is not set; add data=\.\.\."):
        load_config(Settings, [])


def test_what_is_chosen_by_name_forgets_the_settings_of_another() -> None:
    assert load("schedule.history=64").schedule == {"name": "millivid", "history": 64}
    assert load("schedule=framepack").schedule == {"name": "framepack"}
    assert load("schedule=framepack", "schedule.targets=3").schedule == {"name": "framepack", "targets": 3}
    assert load("schedule={history: 64}").schedule == {"name": "millivid", "history": 64}
    assert load("schedule={name: framepack, targets: [1,2]}").schedule == {"name": "framepack", "targets": [1, 2]}


def test_experiments_come_between_defaults_and_words(conf: Path) -> None:
    assert load(conf=conf).model.width == 64
    small = load("experiment=small", conf=conf)
    assert (small.model.width, small.training.steps, small.model.ratio) == (32, 7, 4.0)
    assert load("experiment=small", "model.width=16", conf=conf).model.width == 16


def test_an_experiment_builds_on_another_and_on_its_own_values(conf: Path) -> None:
    text = "# @package _global_\ndefaults: [small]\nmodel:\n  ratio: 2\n  depth: ${training.steps}\n"
    (conf / "experiment" / "deep.yaml").write_text(text)
    deep = load("experiment=deep", "model.variant=cascaded", conf=conf)
    assert deep.model == ModelSettings(width=32, ratio=2.0, depth=7, variant="cascaded") and deep.training.steps == 7
    (conf / "experiment" / "deep.yaml").write_text(text.replace("[small]", "[smal]"))
    with pytest.raises(ConfigError, match=r"deep.yaml cannot be used: .*smal"):
        load("experiment=deep", conf=conf)


def test_an_unknown_experiment_is_named(conf: Path) -> None:
    with pytest.raises(ConfigError, match=r"no experiment smal; did you mean small\?"):
        load("experiment=smal", conf=conf)
    with pytest.raises(ConfigError, match="no setting experiment"):
        load("experiment=small")


def test_build_inverts_to_plain() -> None:
    settings = load("model.grids=[[8,6],[4,3]]", "schedule=framepack")
    assert build(Settings, to_plain(settings)) == settings


@dataclass(frozen=True, kw_only=True)
class Either:
    bounds: bool | tuple[Literal["upper", "lower"], ...] | None = None


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("[upper,lower]", ("upper", "lower")), ("[]", ()), ("null", None)]
)
def test_a_setting_of_several_kinds(word: str, value: object) -> None:
    assert load_config(Either, [f"bounds={word}"]).bounds == value


def test_what_fits_none_of_several_kinds_is_named() -> None:
    with pytest.raises(ConfigError, match=r"bounds\[0\] is 'upmost'; use upper or lower"):
        load_config(Either, ["bounds=[upmost]"])
    with pytest.raises(ConfigError, match="bounds is 'yes please'; it takes a list"):
        load_config(Either, ["bounds='yes please'"])
