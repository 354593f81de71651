"""A User-Mode Linux guest as a process of the controller: start it, find it again, end it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.kernel import kernel
from tests.lab.paths import RUNTIME, guest_memory_folder
from tests.lab.shell import environment

LAUNCHER = Path(__file__).parent / "uml-exec"


def _begun(pid: int) -> int | None:
    """Return when a process began, in clock ticks since the boot (proc_pid_stat(5)), or None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


@dataclass(frozen=True)
class Guest:
    """The files and the name by which any process finds the process of a machine."""

    umid: str
    folder: Path

    @property
    def disk(self) -> Path:
        """The changes of this machine; everything else is in the shared image."""
        return self.folder / "disk.cow"

    @property
    def second_disk(self) -> Path:
        """Its second disk, if it has one."""
        return self.folder / "second.img"

    @property
    def console(self) -> Path:
        """The output of the console, over all boots."""
        return self.folder / "console.log"

    @property
    def record(self) -> Path:
        """The process id of the last start and its start time: the command line changes while it starts."""
        return self.folder / "pid"

    @property
    def base(self) -> Path:
        """A file with the path of the image that the disk of this machine was copied from."""
        return self.folder / "image"

    def start(self, memory: int, processor: int, kernel_args: list[str]) -> None:
        """Start the guest in the background, in a session of its own, so that it outlives its starter.

        The guest stays on one processor: it runs one process at a time, and each system call switches between two. A
        switch to another processor, which sleeps, takes ten times longer.
        """
        if self.pid() is not None:
            return
        image = self.image()
        if image is None:
            raise LabError(f"{self.folder.name} has no image to start from: `python -m tests.lab up` makes it one")
        sockets = RUNTIME / "uml"
        sockets.mkdir(parents=True, exist_ok=True)
        argv = [
            str(LAUNCHER),
            f"umid={self.umid}",
            f"uml_dir={sockets}/",
            f"lab.kernel={kernel()}",
            f"mem={memory}M",
            f"ubd0={self.disk},{image}",
            *([f"ubd1={self.second_disk}"] if self.second_disk.exists() else []),
            "root=/dev/ubda",
            "rw",
            "con=null",
            "con0=null,fd:1",
            "ssl=null",
            "quiet",
            "net.ifnames=0",
            "seccomp=auto",  # takes system calls by seccomp(2) where this machine has it, else by ptrace(2)
            "nfsv4.directory_delegations=0",  # newer than the kernels of the supported distributions
            "sysctl.kernel.io_uring_disabled=2",  # what io_uring maps into a program breaks this kernel's memory
            "systemd.show_status=false",
            *kernel_args,
        ]
        with self.console.open("ab") as console:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                env=environment(TMPDIR=str(guest_memory_folder(memory))),
            )
        os.sched_setaffinity(process.pid, {processor})  # what it starts inherits this
        self.record.write_text(f"{process.pid} {_begun(process.pid) or 0}\n")

    def image(self) -> Path | None:
        """Return the image that the disk was copied from, if it still exists."""
        if not self.base.exists():
            return None
        image = Path(self.base.read_text().strip())
        return image if image.exists() else None

    def start_afresh_from(self, image: Path, second_disk: int = 0) -> None:
        """Delete the disk of the machine: its next start is its first, from this image.

        + second_disk: GB of an empty second disk; a sparse file
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for disk in (self.disk, self.second_disk):
            disk.unlink(missing_ok=True)
        if second_disk:
            with self.second_disk.open("wb") as file:
                file.truncate(second_disk << 30)
        self.base.write_text(f"{image}\n")

    def pid(self) -> int | None:
        """Return the guest's process id while it runs; a reused number does not count."""
        if not self.record.exists():
            return None
        pid, begun = map(int, self.record.read_text().split())
        return pid if _begun(pid) == begun else None

    def kill(self, timeout: float = 20) -> None:
        """End the guest at once, as a power cut does: nothing is synced."""
        pid = self.pid()
        if pid is None:
            return
        # The kernel's helper processes share its session; those that run guest programs are its children. A child
        # that was just being made escapes one round, so rounds go on until the session is empty.
        deadline = time.monotonic() + timeout
        while members := [member for member in (pid, *self._session(pid)) if _begun(member) is not None]:
            for member in members:
                with suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise LabError(f"{self.umid} does not end: processes {members}")
            time.sleep(0.05)

    @staticmethod
    def _session(leader: int) -> list[int]:
        members: list[int] = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and int(path.parent.name) != leader:
                members.append(int(path.parent.name))
        return members

    def wait_gone(self, timeout: float) -> None:
        """Wait until the guest's process has ended."""
        deadline = time.monotonic() + timeout
        while (pid := self.pid()) is not None:
            if time.monotonic() > deadline:
                raise LabError(f"{self.umid} (process {pid}) did not end within {timeout:.0f} s")
            time.sleep(0.05)
