"""The programs under attack: services, which are restarted when they end, and runs that follow each other."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence

RUN_TIMEOUT = 300


class Service:
    """A program that must run all the time."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv, self.ended, self.failures = argv, threading.Event(), list[str]()
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = self._start()
        self.thread = threading.Thread(target=self._keep)
        self.thread.start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self.argv, stdout=self.output, stderr=self.output, text=True)

    def _keep(self) -> None:
        while not self.ended.wait(0.1):
            if self.process.poll() is not None:
                self.output.seek(0)
                self.failures.append(f"a service ended with {self.process.returncode}: {self.output.read()[-1500:]}")
                time.sleep(1)
                self.process = self._start()

    def end(self) -> list[str]:
        """End it; return why it ended earlier, if it did."""
        self.ended.set()
        self.thread.join()
        self.process.kill()
        self.process.wait()
        self.output.close()
        return self.failures


class Repeated:
    """Programs that run one after the other, again and again."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self.commands, self.ended, self.runs, self.failures = commands, threading.Event(), 0, list[str]()
        self.thread = threading.Thread(target=self._go_on)
        self.thread.start()

    def _go_on(self) -> None:
        while self.commands and not self.ended.is_set():
            self._all()

    def _all(self) -> None:
        for argv in self.commands:
            try:
                done = subprocess.run(argv, capture_output=True, text=True, timeout=RUN_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.failures.append(f"a run took more than {RUN_TIMEOUT} s")
                continue
            self.runs += 1
            if done.returncode != 0:
                self.failures.append(f"a run ended with {done.returncode}: {(done.stdout + done.stderr)[-600:]}")

    def end(self) -> list[str]:
        """Run each program once more without attack; return all failures."""
        self.ended.set()
        self.thread.join()
        self._all()
        return self.failures
