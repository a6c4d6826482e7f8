"""What a run was started with: command, hardware, versions, commit."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch


def describe_launch() -> dict[str, object]:
    """The command, time, machine, versions of what takes part, and the commit of the source tree, None outside of one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "gpu": gpu, "gpus": torch.cuda.device_count()},
        "versions": versions(),
        "commit": commit(),
    }


def versions() -> dict[str, str]:
    """Python's, torch's, and those of the installed packages that take part."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and (name.startswith("millivid") or name in ("numpy", "deepspeed")):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = info.read_text().splitlines() if info.is_file() else []
    named = [line.split(":", 1)[1].strip() for line in names if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def commit(file: Path = Path(__file__)) -> str | None:
    """The commit of the tree that a file is kept in, marked where the tree's files differ from it; None outside of one."""

    def git(*words: str) -> str:
        words = ("git", "-C", str(file.parent), *words)
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("ls-files", file.name) != file.name:  # installed below some other tree
            return None
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
