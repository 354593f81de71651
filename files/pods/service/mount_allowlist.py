"""NanoClaw's list of directories that agents may mount beside their own.

It lies in the host user's home, not in the project root. Without it NanoClaw rejects additional mounts.
"""

from __future__ import annotations

import pwd
import subprocess

LIST = ".config/nanoclaw/mount-allowlist.json"
SHOW = ("head", "-c", "1048576")  # no list is longer


def copy_allowlist(before: int, user: str, uid: int, gid: int) -> None:
    """Copy the list of the host user before to the new one, if that has none.

    Reads as the one user and writes as the other, so that neither can link to files that it may not access.
    """
    try:
        old, new = pwd.getpwuid(before), pwd.getpwnam(user)
    except KeyError:
        return
    read = _as(old.pw_uid, old.pw_gid, *SHOW, f"{old.pw_dir}/{LIST}")
    own = _as(uid, gid, *SHOW, f"{new.pw_dir}/{LIST}")
    if read.returncode != 0 or read.stdout in (b"", own.stdout):
        return
    write = 'umask 077; set -C; mkdir -p "${1%/*}" && cat > "$1"'
    wrote = _as(uid, gid, "sh", "-c", write, "sh", f"{new.pw_dir}/{LIST}", feed=read.stdout)
    done = "was copied from" if wrote.returncode == 0 else "exists already and differs from"
    print(f"{new.pw_dir}/{LIST} {done} {old.pw_dir}/{LIST}")


def _as(uid: int, gid: int, *args: str, feed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            args, user=uid, group=gid, extra_groups=[], cwd="/", input=feed, capture_output=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(args, 124, b"", b"")
