"""Copy with rsync(1), with a reader confined to one directory and a writer that runs as another user.

For programs that import it. The writer is rsync's client, which starts its remote side with RELAY. The relay passes its
standard input and output to this process, which is root and starts the reader with them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO, Any

from files.pods.common.run_command import run_command
from files.pods.v1.confine import SOURCE, AbsentError, confine, needs_of

RELAY = (
    "import _socket, array, sys; link = _socket.socket(fileno=int(sys.argv[1])); fds = array.array(chr(105), [0, 1]); "
    "rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds); "
    "link.sendmsg([chr(0).join(sys.argv[3:]).encode()], [rights]); sys.exit((link.recv(1) or bytes([12]))[0])"
)
"""socket.send_fds(), without what the module socket and site load: a copy starts this for each directory, while v1 is
stopped, and the start of Python was half of what a directory costs."""
PARTIAL, VANISHED, NOT_THERE = 23, 24, 250
"""Exit values of rsync(1); of a reader that found no directory."""
REPLACED = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.ESTALE)
"""Errors of a system call on a path that was replaced; EINVAL: readlink(2), on an entry that is no link."""
SHOWN = 2000
QUIET = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class RsyncError(Exception):
    """rsync failed. `vanished`: only because entries were removed or replaced while it read them."""

    def __init__(self, text: str, vanished: bool) -> None:
        super().__init__(text)
        self.vanished = vanished


@functools.lru_cache(maxsize=1)
def reader_files() -> list[str]:
    """Return the paths of rsync and its libraries."""
    return needs_of(shutil.which("rsync") or "/usr/bin/rsync")


def pull(top: str, path: tuple[str, ...], target: str, options: list[str], ids: tuple[int, int], seconds: float) -> int:
    """Copy the entries of a directory below `top` to `target`, written as `ids`; return the bytes sent.

    Raises FileNotFoundError if the directory is missing or a link, RsyncError, subprocess.TimeoutExpired.
    """
    end = time.monotonic() + seconds
    our_end, relay_end = socket.socketpair()
    with our_end, relay_end, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        relay = f'python3 -I -S -c "{RELAY}" {relay_end.fileno()}'
        argv = ["rsync", *options, "--secluded-args" if takes_secluded() else "--protect-args", "--mkpath", "--stats"]
        argv += ["--timeout=300", f"--rsh={relay}", f"v1:{SOURCE}/", target]
        who: dict[str, Any] = {"user": ids[0], "group": ids[1], "extra_groups": []}
        client = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, pass_fds=[relay_end.fileno()], env=QUIET, **who
        )
        relay_end.close()
        reader = None
        try:
            our_end.settimeout(min(60, seconds))
            reader = start_reader(our_end, top, path, errors)
            status = wait_for(reader, end) if reader is not None else 0
            reader = None
            with contextlib.suppress(OSError):
                our_end.send(bytes([status]))
            client.wait(max(1, end - time.monotonic()))
        finally:
            if reader is not None:
                os.kill(reader, signal.SIGKILL)
                os.waitpid(reader, 0)
            client.kill()
            client.wait()
        if status == NOT_THERE:
            raise FileNotFoundError("/".join(path))
        output = last_of(errors)
        if client.returncode != 0:
            vanished = client.returncode == VANISHED or (client.returncode == PARTIAL and only_vanished(output))
            raise RsyncError(f"status {client.returncode}: {output.strip()[-SHOWN:]}", vanished)
        sent = re.search(r"Total transferred file size: ([0-9,.]+)", last_of(out))
        return int(re.sub("[,.]", "", sent[1])) if sent else 0


def start_reader(link: socket.socket, top: str, path: tuple[str, ...], errors: IO[bytes]) -> int | None:
    """Start the reader that the client's relay requests, in a confined root. None if the client has ended."""
    try:
        message, fds, _flags, _from = socket.recv_fds(link, 1 << 16, 2)
    except OSError:
        return None
    argv = message.decode().split("\0")
    if len(fds) != 2 or argv[:3] != ["rsync", "--server", "--sender"]:
        return None
    child = os.fork()
    if child == 0:
        try:
            for number, fd in enumerate((*fds, errors.fileno())):
                os.dup2(fd, number)
            files = reader_files()
            confine(top, path, files)
            os.execve(files[0], argv, QUIET)
        except AbsentError:
            os._exit(NOT_THERE)
        except BaseException as error:
            os.write(2, f"the reader cannot be confined: {error}\n".encode())
        finally:
            os._exit(1)
    for fd in fds:
        os.close(fd)
    return child


def wait_for(child: int, end: float) -> int:
    """Wait for a child and return its exit status; kill it and raise subprocess.TimeoutExpired after the deadline."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise subprocess.TimeoutExpired("rsync", 0)
        time.sleep(0.01)


def only_vanished(output: str) -> bool:
    """Return whether all errors of rsync, by errno, are of entries that were removed or replaced."""
    numbers = re.findall(r" \((\d+)\)$", output, re.MULTILINE)
    return bool(numbers) and {int(number) for number in numbers} <= set(REPLACED)


def last_of(file: IO[bytes]) -> str:
    """Return the last mebibyte of a file as text."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (1 << 20)))
    return file.read().decode("utf-8", "replace")


@functools.lru_cache(maxsize=1)
def takes_secluded() -> bool:
    """Return whether rsync has the newer name of the option (3.2.7 and later)."""
    output = run_command(["rsync", "--version"], timeout=20, check=True).stdout
    version = re.search(r"version (\d+)\.(\d+)\.(\d+)", output)
    return bool(version) and tuple(map(int, version.groups())) >= (3, 2, 7) if version else False
