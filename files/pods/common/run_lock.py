"""Waiting for what an earlier run left at work: for programs that import it.

A program and what it starts can go on when the run that started it is killed.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import time

WAIT = 300  # seconds


def holders(lock: str) -> list[str]:
    """The processes that have a file open, with what they are."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            files = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                words = file.read()
        except OSError:
            continue  # gone
        if lock in files and int(pid) != os.getpid():
            what = entry_of(words.split("\0")) or " ".join(words.split("\0"))[:60].strip()
            found.append(f"{pid} ({what})")
    return found


def entry_of(argv: list[str]) -> str | None:
    """The entry that a process runs of this package: its words begin with python3's own (files/pods/__main__.py)."""
    words = argv[4:5] if argv[1:3] == ["-I", "-c"] else argv[3:4] if argv[1:2] == ["-I"] else []
    return words[0] if words and re.fullmatch(r"\w+(\.\w+)+", words[0]) else None


def alone(lock: str) -> None:
    """Takes a lock, which is kept until this program has ended and all to which it gives its open files."""
    os.makedirs(os.path.dirname(lock), mode=0o700, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.set_inheritable(handle, True)
    lock = os.path.realpath(lock)
    begun, said = time.monotonic(), False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        if time.monotonic() - begun >= WAIT:
            who = ", ".join(holders(lock)) or "nobody who can be seen"
            sys.exit(f"another run's work is not done after {WAIT} s: process {who} has {lock}; end it, then run again")
        if not said:
            print(f"waiting up to {WAIT} s for another run's work: {', '.join(holders(lock))}", flush=True)
            said = True
        time.sleep(0.5)
