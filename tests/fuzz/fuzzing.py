"""Spoiled files and odd words: every reader and every command gives what it should, or one sentence.

    python tests/fuzz/fuzzing.py cases=20 seed=1            # so many of every kind of file and command
    python tests/fuzz/fuzzing.py seconds=3600 seed=2        # as many as there is time for
    python tests/fuzz/fuzzing.py only=encode:clips/videos   # of those kinds alone; share=0/2: of every second kind
    python tests/fuzz/fuzzing.py case=encode:clips/videos/train_00000.mp4:17 seed=1   # one case, shown; keeps its folder

Every case copies what it reads, spoils one file or word, and runs in a process of its own with limited memory and time.
Counted are: right (the unspoiled result), other (accepted with another result, where the format cannot tell), sentence; and
what must not be: different (where a checksum was there to tell), traceback, unclear (no sentence, or one that names no
file), memory, killed (a signal, or no end). Prints the counts as JSON in the last line; exit code 1 where there is anything
that must not be.
"""

import collections
import contextlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MILLIVID_DOWNLOAD="0", HF_HUB_OFFLINE="1")
from base import LINES, make_base
from mutations import spoil_words
from targets import COMMANDS, TARGETS, Refused, Target, command

MEMORY, CPU_SECONDS, SECONDS = 3 << 30, 60, 180
GOOD = ("right", "other", "sentence")


@dataclass(frozen=True)
class Case:
    """One spoiled file or word: `target:file:number`, or `words:command:number`."""

    target: Target
    file: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.target.name}:{self.file}:{self.number}"


def cases(base: Path, only: str) -> Iterator[Iterator[Case]]:
    """Endless cases of every kind that `only` begins the name of, one iterator a kind."""
    for target in TARGETS:
        files = sorted(path.relative_to(base).as_posix() for path in base.glob(target.files))
        assert files, target.files
        if f"{target.name}:{target.files}".startswith(only) or any(
            f"{target.name}:{file}".startswith(only) for file in files
        ):
            chosen = [file for file in files if f"{target.name}:{file}".startswith(only)] or files
            yield _numbered(target, chosen)
    for name, needs in COMMANDS.items():
        target = Target(name="words", files="", needs=needs, run=lambda: "")
        if f"words:{name}".startswith(only):
            yield _numbered(target, [name])


def _numbered(target: Target, files: list[str]) -> Iterator[Case]:
    return (Case(target, files[number % len(files)], number) for number in itertools.count())


def prepare(base: Path, case: Case, seed: int | None, folder: Path) -> Callable[[], str]:
    """Copy what the case reads, spoil it (seed None: do not), and return what to run in that folder."""
    for name in case.target.needs:
        source = base / name
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    draw = random.Random(f"{seed}:{case.name}")
    if case.target.name == "words":
        words = LINES[case.file].split()
        if seed is not None:
            words = spoil_words(words, draw)
            if any("training." in word for word in words) and not any("training.steps=" in word for word in words):
                words.append("training.steps=2")  # by default there are many
        return command([*case.file.split(), *words])
    if seed is not None:
        path = folder / case.file
        path.write_bytes(draw.choice(case.target.mutations)(path.read_bytes(), draw))
    return case.target.run


def run_case(base: Path, case: Case, seed: int | None, folder: Path) -> tuple[str, str]:
    """What became of a case, and what it said."""
    run = prepare(base, case, seed, folder)
    out, err, outcome = (folder.parent / f"{folder.name}.{kind}" for kind in ("out", "err", "outcome"))
    child = os.fork()
    if not child:
        _child(run, folder, out, err, outcome)
    _, status = os.waitpid(child, 0)
    said = err.read_text(errors="replace")
    try:
        kind, text = json.loads(outcome.read_text())
    except (OSError, ValueError):
        return "killed", f"signal {os.waitstatus_to_exitcode(status)}: {said[-500:]}"
    if kind == "sentence":
        text = text or re.sub(r"^.*\r", "", said, flags=re.MULTILINE).strip()
        lines = [line for line in text.splitlines() if line.strip() and "it/s]" not in line and "%|" not in line]
        if "memory does not suffice" in text:
            return "memory", text
        named = case.target.name == "words" or any(part in text for part in _names(case.file))
        if "Traceback" in said or not lines or len(lines[-1]) > 2000 or not named:
            return "unclear", text
    return kind, text


def _names(file: str) -> list[str]:
    path = Path(file)
    return [path.name, path.stem.split(".")[0], *(parent.as_posix() for parent in path.parents if parent.name)]


def _child(run: Callable[[], str], folder: Path, out: Path, err: Path, outcome: Path) -> None:
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    try:
        result = ("result", run())
    except Refused:
        result = ("sentence", "")
    except (ValueError, OSError, ImportError) as error:
        text = str(error)
        result = ("sentence" if "\n" not in text.strip() and text.strip() else "unclear", text or repr(error))
    except MemoryError as error:
        result = ("memory", f"{error}\n{traceback.format_exc()[-1500:]}")
    except BaseException:
        result = ("traceback", traceback.format_exc()[-3000:])
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    outcome.write_text(json.dumps(result))
    os._exit(0)


def judge(kind: str, text: str, exact: bool, expected: str) -> str:
    """The class of an outcome."""
    if kind != "result":
        return kind
    if text == expected:
        return "right"
    return "different" if exact else "other"


def main(words: list[str]) -> int:
    given = dict(word.split("=", 1) for word in words)
    seed, only = int(given.get("seed", 1)), given.get("only", given.get("case", "").rpartition(":")[0])
    limit = int(given.get("cases", sys.maxsize if "seconds" in given or "case" in given else 20))
    end = time.monotonic() + float(given.get("seconds", 1e9))
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-"))
    base = Path(given["base"]) if "base" in given else scratch / "base"
    if not base.is_dir():
        base.mkdir(parents=True)
        make_base(base)
    import_everything()
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    expected: dict[str, str] = {}
    number, _, count = given.get("share", "0/1").partition("/")
    kinds = list(cases(base, only))[int(number) :: int(count)]
    try:
        for _ in range(limit):
            for kind in kinds:
                case = next(kind)
                if "case" in given and case.name != given["case"]:
                    continue
                group = f"{case.target.name}:{case.target.files or case.file}"
                if group not in expected:
                    made, text = run_case(base, case, None, _fresh(scratch))
                    if made != "result":
                        raise SystemExit(f"{case.name} fails unspoiled: {made}: {text}")
                    expected[group] = text
                folder = _fresh(scratch)
                found = judge(*run_case(base, case, seed, folder), case.target.exact, expected[group])
                counts[group][found] += 1
                text = run_text(folder)
                if found not in GOOD or "case" in given:
                    print(f"{found}: case={case.name} seed={seed}\n    {text}", flush=True)
                if "case" in given:
                    print(f"in {folder}")
                    return found not in GOOD
                if time.monotonic() > end:
                    return report(counts)
        return report(counts)
    finally:
        if "case" not in given:
            shutil.rmtree(scratch, ignore_errors=True)


def run_text(folder: Path) -> str:
    """What a case said, in a few lines."""
    outcome, err = (folder.parent / f"{folder.name}.{kind}" for kind in ("outcome", "err"))
    text = outcome.read_text() if outcome.exists() else ""
    said = err.read_text(errors="replace").strip().splitlines()
    return "\n    ".join([*text.replace("\\n", "\n    ").splitlines()[-14:], *said[-3:]])


def _fresh(scratch: Path) -> Path:
    """An empty folder, the only one of its kind."""
    for old in scratch.glob("case*"):
        shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()
    folder = scratch / "case"
    folder.mkdir()
    return folder


def report(counts: dict[str, "collections.Counter[str]"]) -> int:
    """Print the table and the sums; 1 where something must not be."""
    for group, found in sorted(counts.items()):
        print(f"{group:48} " + "  ".join(f"{name} {count}" for name, count in sorted(found.items())))
    total = sum(counts.values(), collections.Counter())
    print(json.dumps(total))
    return int(any(name not in GOOD for name in total))


def import_everything() -> None:
    """Once, so that children begin at once."""
    import importlib

    import torch

    from millivid.app.cli import COMMANDS as ALL

    torch.set_num_threads(1)
    for function in ALL.values():
        importlib.import_module(function.partition(":")[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
