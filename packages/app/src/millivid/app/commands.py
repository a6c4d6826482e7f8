"""Millivid's own commands as processes, some beside each other."""

import os
import subprocess
import sys
from collections.abc import Sequence


def run_beside(commands: Sequence[Sequence[str]], at_once: int, threads: int = 1) -> None:
    """Run millivid commands, a process each and `at_once` beside each other, in order, and wait for all.

    threads: of each. Raises SystemExit with the exit code of the first that fails; those under way are waited for, the
    others are not begun. So it is with Ctrl-C, which reaches them too: each saves what it has.
    """
    waiting, running, code = list(commands), dict[int, subprocess.Popen[bytes]](), 0
    try:
        while running or (waiting and not code):
            while waiting and not code and len(running) < at_once:
                row = next(row for row in range(at_once) if row not in running)
                environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TQDM_POSITION": str(row)}
                command = [sys.executable, "-m", "millivid.app.cli", *waiting.pop(0)]
                running[row] = subprocess.Popen(command, env=environment)
            row, ended = _first_to_end(running)
            code = code or ended
            del running[row]
    except BaseException:
        for process in running.values():
            process.wait()
        raise
    if code:
        raise SystemExit(code)


def _first_to_end(running: dict[int, subprocess.Popen[bytes]]) -> tuple[int, int]:
    while True:
        for row, process in running.items():
            try:
                return row, process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
