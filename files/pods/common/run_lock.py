"""A lock file (flock(2)) that serializes the role's runs on a machine.

Children inherit the lock: a command that outlives its run, such as a build, still blocks the next run.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import time

WAIT_SECONDS = 300


def lock_holders(lock: str) -> list[str]:
    """Return pid and name of each process that has the lock file open."""
    processes = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            files = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                cmdline = file.read()
        except OSError:
            continue  # gone
        if lock in files and int(pid) != os.getpid():
            name = entry_of(cmdline.split("\0")) or " ".join(cmdline.split("\0"))[:60].strip()
            processes.append(f"{pid} ({name})")
    return processes


def entry_of(argv: list[str]) -> str | None:
    """Return the entry of this package that a process runs (files/pods/__main__.py), or None."""
    entry = argv[4:5] if argv[1:3] == ["-I", "-c"] else argv[3:4] if argv[1:2] == ["-I"] else []
    return entry[0] if entry and re.fullmatch(r"\w+(\.\w+)+", entry[0]) else None


def acquire(lock: str) -> None:
    """Take a lock, and keep it until this process and all children that inherited it have exited."""
    os.makedirs(os.path.dirname(lock), mode=0o700, exist_ok=True)
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.set_inheritable(fd, True)
    lock = os.path.realpath(lock)
    start, is_reported = time.monotonic(), False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        if time.monotonic() - start >= WAIT_SECONDS:
            processes = ", ".join(lock_holders(lock)) or "(unknown)"
            sys.exit(
                f"another run's work is not done after {WAIT_SECONDS} s: process {processes} has {lock}; "
                "end it, then run again"
            )
        if not is_reported:
            print(f"waiting up to {WAIT_SECONDS} s for another run's work: {', '.join(lock_holders(lock))}", flush=True)
            is_reported = True
        time.sleep(0.5)
