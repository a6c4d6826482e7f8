"""A function of a config as a command: what it prints, its exit codes, and its help."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from millivid.command import REQUIRED, alone_in_out, load_experiment, run_command
from millivid.command.help import describe_settings, explanations
from millivid.command.run import explain
from millivid.files import locked


@dataclass(frozen=True, kw_only=True)
class Inner:
    """How much.

    width, depth: of the model. bias: whether there is one.
    """

    width: int = 4
    depth: int = 2
    bias: bool = True


@dataclass(frozen=True, kw_only=True)
class Outer:
    """What to do: this and that.

    data: where it comes from. inner: the sizes. name: null for none.
    """

    data: Path = REQUIRED
    inner: Inner = Inner(width=8)
    name: str | None = None
    choice: dict[str, object] = field(default_factory=lambda: {"name": "first", "size": [1, 2]})

    def __post_init__(self) -> None:
        if self.name == "none":
            raise ValueError("name is 'none'; leave it out")


def show(config: Outer) -> str | None:
    if config.name == "stop":
        raise KeyboardInterrupt
    if config.name == "full":
        raise MemoryError
    if config.name == "large":
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes. Error code 12"
        )
    if config.name == "fault":
        raise KeyError("nobody foresaw this")
    return None if config.name == "silent" else f"{config.data} {config.inner.width}"


def test_exit_codes_and_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(show, ["data=x"]) == 0
    assert capsys.readouterr().out == "done: x 8\n"
    assert run_command(show, ["data=x", "name=silent"]) == 0
    assert capsys.readouterr().out == ""
    assert run_command(show, ["data=x", "name=stop"], name="millivid show") == 130
    assert (
        capsys.readouterr().err
        == "\nstopped; finished work is kept: run millivid show data=x name=stop again to go on\n"
    )
    for words, sentence in (
        (["data=x", "nam=y"], "there is no setting nam; did you mean name?"),
        (["data=x", "name=none"], "name is 'none'; leave it out"),
        ([], "data is not set; add data=..."),
        (
            ["data=x", "name=large"],
            "the memory does not suffice (4000 bytes more were asked for); take smaller frames, batches or pieces",
        ),
        (
            ["data=x", "name=full"],
            "the memory does not suffice (no more could be had); take smaller frames, batches or pieces",
        ),
    ):
        assert run_command(show, words, name="millivid show") == 2
        assert capsys.readouterr().err == f"millivid: {sentence}\n"


def test_a_fault_of_ours_is_told_in_one_sentence_and_kept_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "here", tmp_path / "temporary"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    monkeypatch.setenv("TMPDIR", str(folders[1]))
    for folder in folders:
        assert run_command(show, ["data=x", "name=fault"], name="millivid show") == 70
        (file,) = folder.iterdir()
        (line,) = capsys.readouterr().err.splitlines()
        assert "a fault in MilliVid itself" in line and "KeyError" in line and file.name in line
        text = file.read_text()
        assert "millivid show data=x name=fault" in text and "in show" in text
        monkeypatch.chdir("/proc")  # where nothing can be written, it goes to the temporary files


PRINT = """
import sys
from dataclasses import dataclass
from millivid.command import run_command
@dataclass(frozen=True)
class Config:
    \"\"\"Print.\"\"\"
def show(config: Config) -> None:
    print("видео █\\udcff" * 20_000)
    print("видео █", file=sys.stderr)
code = run_command(show, sys.argv[1:])
if code:
    raise SystemExit(code)
"""


@pytest.mark.parametrize(
    ("redirection", "encoding", "codes"),
    [
        ("", "ascii", (0,)), ("", "cp1252:strict", (0,)), ("", "utf-8", (0,)), (">&-", "ascii", (0,)), ("2>&-", "ascii", (0,)),
        ("<&- >&- 2>&-", "ascii", (0,)), ("| head -c 1", "utf-8", (0, 141)), (">/dev/full", "utf-8", (2,)),
        ("2>/dev/full", "utf-8", (0,)), ("data=x 2>/dev/full", "utf-8", (2,)), (">/dev/full 2>/dev/full", "utf-8", (2,)),
    ],
)  # fmt: skip
def test_printing_never_ends_a_command(redirection: str, encoding: str, codes: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(PRINT, encoding="utf-8")
    line = f'set -o pipefail; "{sys.executable}" show.py {redirection}'
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode in codes, done.stderr
    assert b"Traceback" not in done.stderr and b"ignored" not in done.stderr and b"fault" not in done.stderr


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(show, ["--help"]) == 0
    assert (
        capsys.readouterr().out
        == """What to do: this and that.

data=(required)
    where it comes from

name=null
    null for none

choice=first
choice.size=[1,2]

inner: the sizes

inner.width=8
inner.depth=2
    of the model

inner.bias=true
    whether there is one
"""
    )


def test_explanations_end_where_the_next_setting_begins() -> None:
    assert explanations(Inner) == {"width": "of the model", "depth": "of the model", "bias": "whether there is one"}


def test_experiments_are_listed_and_changed(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "small.yaml").write_text(
        "# @package _global_\ninner:\n  width: 2\nchoice:\n  name: second\n"
    )
    assert "experiment=small\n" in describe_settings(Outer, tmp_path)
    config = load_experiment(Outer, tmp_path, "small", data="x", inner={"depth": 5})
    assert config == Outer(data=Path("x"), inner=Inner(width=2, depth=5), choice={"name": "second"})
    with pytest.raises(ValueError, match="no setting inner.depht; did you mean inner.depth"):
        load_experiment(Outer, tmp_path, "small", data="x", inner={"depht": 5})


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(show, ["--version"]) == 0
    assert all(re.fullmatch(r"millivid(-\w+)* \d+\.\d+\.\d+", line) for line in capsys.readouterr().out.splitlines())


def test_errors_of_files_name_them() -> None:
    error = PermissionError(13, "Permission denied", "folder/x")
    assert explain(error) == "folder/x cannot be used (permission denied); choose another path or free this one"


def test_the_readmes_example_runs(tmp_path: Path) -> None:
    readme = Path(__file__).parents[1] / "README.md"
    (block,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    (tmp_path / "count.py").write_text(block)
    (tmp_path / "README.md").write_text("a\n\nb\n")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "count.py", *words], cwd=tmp_path, capture_output=True, text=True)

    assert run("file=README.md", "blank=false").stdout == "done: 2\n"
    wrong = run("fil=README.md")
    assert wrong.returncode == 2 and "there is no setting fil; did you mean file?" in wrong.stderr
    assert "whether blank lines count" in run("--help").stdout


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What to write.

    out: where. share: of it. dry_run: nothing.
    """

    out: Path | None = None
    share: str = "0/1"
    dry_run: bool = False


@alone_in_out
def held_against_others(config: Writing) -> str:
    assert config.out is not None
    try:
        code = "import sys; from pathlib import Path; from millivid.files import locked\n"
        code += "for shared in (False, True): locked(Path(sys.argv[1]), shared).__enter__()"
        subprocess.run([sys.executable, "-c", code, config.out], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        return error.stderr.decode().splitlines()[-1].partition(":")[0]
    return "open"


def test_a_command_holds_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert held_against_others(Writing(out=out)) == "millivid.files.lock.FolderInUseError"
    assert held_against_others(Writing(out=out, dry_run=True)) == "open"
    with locked(out), locked(out):  # a command inside of another
        assert held_against_others(Writing(out=out)) == "millivid.files.lock.FolderInUseError"
    monkeypatch.setenv("RANK", "1")
    assert held_against_others(Writing(out=out)) == "open"
    assert not out.exists()
