"""Signals that ask a run to stop: it does so after the current step, when everything is saved."""

import signal
import threading
from contextlib import suppress
from typing import Any

from millivid.training.processes import Processes


class Interrupts:
    """While this context is open, `received` becomes True at Ctrl-C, SIGTERM, or a signal that a cluster handles.

    In a run of a single process, a second Ctrl-C raises KeyboardInterrupt at once.
    """

    def __init__(self, processes: Processes) -> None:
        self.received = False
        self.processes = processes
        self.clusters: int | None = None
        self.pressed = False
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            handled = [number for number in (signal.SIGUSR1, signal.SIGUSR2) if callable(signal.getsignal(number))]
            numbers = [signal.SIGINT, signal.SIGTERM, *handled]
            self.previous = {number: signal.signal(number, self._receive) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: object) -> None:
        if number == signal.SIGINT:
            if self.pressed and self.processes.count == 1:
                raise KeyboardInterrupt
            self.pressed = True
        if number in (signal.SIGUSR1, signal.SIGUSR2):
            self.clusters = number
        self.received = True

    def pass_on(self) -> None:
        """Call the cluster's own handler of its signal, which puts a job that runs out of time back in the queue.

        It ends the first process, which is the one that has to call it; the others must not end before.
        """
        if self.clusters is not None:
            self.previous[self.clusters](self.clusters, None)
            with suppress(RuntimeError):  # the first process has ended
                self.processes.sum(0)
