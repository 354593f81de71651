"""A copy by rsync(1) whose reader is confined to one directory, and whose writer is another user.

For programs that import it. The writer is rsync's client, which starts its remote side by RELAY: that hands its own
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
"""What a system call says of a path that something else has taken; EINVAL: readlink(2), of what is no link."""
SHOWN = 2000
QUIET = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class RsyncError(Exception):
    """What rsync says. `vanished`: only that entries were removed or replaced while it read them."""

    def __init__(self, text: str, vanished: bool) -> None:
        super().__init__(text)
        self.vanished = vanished


@functools.lru_cache(maxsize=1)
def reader_files() -> list[str]:
    """rsync and its libraries."""
    return needs_of(shutil.which("rsync") or "/usr/bin/rsync")


def pull(top: str, path: tuple[str, ...], target: str, options: list[str], ids: tuple[int, int], seconds: float) -> int:
    """Copy what is in a directory below `top` to `target`, written by `ids`; returns how many bytes were sent.

    Raises FileNotFoundError where the directory is not there or is a link, RsyncError, subprocess.TimeoutExpired.
    """
    end = time.monotonic() + seconds
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        relay = f'python3 -I -S -c "{RELAY}" {theirs.fileno()}'
        words = ["rsync", *options, "--secluded-args" if takes_secluded() else "--protect-args", "--mkpath", "--stats"]
        words += ["--timeout=300", f"--rsh={relay}", f"v1:{SOURCE}/", target]
        who: dict[str, Any] = {"user": ids[0], "group": ids[1], "extra_groups": []}
        client = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, pass_fds=[theirs.fileno()], env=QUIET, **who
        )
        theirs.close()
        reader = None
        try:
            ours.settimeout(min(60, seconds))
            reader = start_reader(ours, top, path, errors)
            status = ended(reader, end) if reader is not None else 0
            reader = None
            with contextlib.suppress(OSError):
                ours.send(bytes([status]))
            client.wait(max(1, end - time.monotonic()))
        finally:
            if reader is not None:
                os.kill(reader, signal.SIGKILL)
                os.waitpid(reader, 0)
            client.kill()
            client.wait()
        if status == NOT_THERE:
            raise FileNotFoundError("/".join(path))
        said = last_of(errors)
        if client.returncode != 0:
            gone = client.returncode == VANISHED or (client.returncode == PARTIAL and only_vanished(said))
            raise RsyncError(f"status {client.returncode}: {said.strip()[-SHOWN:]}", gone)
        sent = re.search(r"Total transferred file size: ([0-9,.]+)", last_of(out))
        return int(re.sub("[,.]", "", sent[1])) if sent else 0


def start_reader(link: socket.socket, top: str, path: tuple[str, ...], errors: IO[bytes]) -> int | None:
    """Starts what the client asks for by its relay, in a root of its own. None where the client has ended instead."""
    try:
        said, handles, _flags, _from = socket.recv_fds(link, 1 << 16, 2)
    except OSError:
        return None
    words = said.decode().split("\0")
    if len(handles) != 2 or words[:3] != ["rsync", "--server", "--sender"]:
        return None
    child = os.fork()
    if child == 0:
        try:
            for number, handle in enumerate((*handles, errors.fileno())):
                os.dup2(handle, number)
            files = reader_files()
            confine(top, path, files)
            os.execve(files[0], words, QUIET)
        except AbsentError:
            os._exit(NOT_THERE)
        except BaseException as error:
            os.write(2, f"the reader cannot be confined: {error}\n".encode())
        finally:
            os._exit(1)
    for handle in handles:
        os.close(handle)
    return child


def ended(child: int, end: float) -> int:
    """The exit status of a child; ends it and raises subprocess.TimeoutExpired where it has none in time."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise subprocess.TimeoutExpired("rsync", 0)
        time.sleep(0.01)


def only_vanished(said: str) -> bool:
    """Whether all errors that rsync names are those of entries that were removed or replaced: by errno."""
    numbers = re.findall(r" \((\d+)\)$", said, re.MULTILINE)
    return bool(numbers) and {int(number) for number in numbers} <= set(REPLACED)


def last_of(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (1 << 20)))
    return file.read().decode("utf-8", "replace")


@functools.lru_cache(maxsize=1)
def takes_secluded() -> bool:
    """Whether rsync calls the option by its newer name (3.2.7 and later)."""
    said = subprocess.run(["rsync", "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    return bool(found) and tuple(map(int, found.groups())) >= (3, 2, 7) if found else False
