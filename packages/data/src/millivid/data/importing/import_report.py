"""What an import did with each source file: kept beside the dataset, and reported at the end."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from millivid.files import read_json, write_json

from ..errors import DatasetError

RECORDS = "imported"
"""The folder in a dataset that says what became of each source file."""


@dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """What became of one source file.

    file: its path in the source folder. bytes: its size, and that of its tables: another size means that it has to be
    looked at again. videos: ids of what was written. frames: how many frames these have. notes: what was not taken as it
    was. skipped: why nothing was written, else "".
    """

    file: str
    bytes: Mapping[str, int]
    videos: tuple[str, ...] = ()
    frames: int = 0
    notes: tuple[str, ...] = ()
    skipped: str = ""

    def write(self, out: Path, id: str) -> None:
        """Remember it."""
        write_json(out / RECORDS / f"{id}.json", asdict(self))


def read_record(out: Path, id: str) -> ImportRecord | None:
    """What became of the source file with this id; None where that is not known yet.

    Raises DatasetError where the file that says so is damaged.
    """
    path = out / RECORDS / f"{id}.json"
    if not path.exists():
        return None
    return read_json(path, ImportRecord, DatasetError, "delete it, and the video is imported again")


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did.

    videos: how many videos are written: all in the dataset, whichever call wrote them. frames: how many frames they have.
    sources: how many video files there are in the folder. skipped: files that were left out -> why. notes: files that were
    not taken as they are -> what was done. remarks: what concerns the dataset as a whole. splits: number of videos in each
    split; empty while the dataset is unfinished. missing: files that other calls have yet to import (``share``).
    """

    videos: int
    frames: int
    sources: int
    skipped: Mapping[str, str]
    notes: Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...]
    splits: Mapping[str, int]
    missing: int

    @property
    def complete(self) -> bool:
        """Whether the dataset is finished."""
        return not self.missing

    def lines(self) -> list[str]:
        """The report as text, a fact a line."""
        taken = self.sources - len(self.skipped) - self.missing
        lines = [f"{taken} of {self.sources} files imported as {self.videos} videos, {self.frames} frames in all"]
        if self.missing:
            lines.append(f"unfinished: {self.missing} files are left to other calls")
        if self.splits:
            lines.append("splits: " + ", ".join(f"{name} {count}" for name, count in self.splits.items()))
        lines += self.remarks
        lines += [f"left out {name}: {why.removeprefix(name + ': ')}" for name, why in self.skipped.items()]
        files: dict[str, list[str]] = {}
        for name, notes in self.notes.items():
            for note in notes:
                files.setdefault(note, []).append(name)
        return lines + [f"{some_names(names)}: {note}" for note, names in files.items()]


def in_one_line(text: str) -> str:
    """A text with names of files, which may be any bytes, as JSON and a terminal take it."""
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return re.sub("[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def some_names(names: Sequence[str], most: int = 5) -> str:
    """The first few of some names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
