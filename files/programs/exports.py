"""The export table of an NFS server: looks at it, or puts a new drop-in in force.

Argument of a look: {"dropin", "conf", "directories": [path…]}. It changes nothing.
Argument of a change: {"dropin", "text", "wanted": [[path, client, option…]…]}; the drop-in takes effect only if
exportfs(8) accepts it beside every other file and the table becomes what was meant; if not, the old one comes back.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from files.programs.atomic import replace
from files.programs.reading import read

ETAB = "/var/lib/nfs/etab"
VERSIONS = "/proc/fs/nfsd/versions"


def options(text: str) -> list[str]:
    """The options of an etab entry that decide who may do what, in the order in which the role states them."""
    got: dict[str, str] = {}
    for option in text.split(","):
        name, _, value = option.partition("=")
        got[name.removeprefix("no_")] = value or name
    squash = "all_squash" if got.get("all_squash") == "all_squash" else got.get("root_squash", "root_squash")
    sync = "async" if "async" in text.split(",") else "sync"
    mode = "rw" if "rw" in text.split(",") else "ro"
    secure = "insecure" if "insecure" in text.split(",") else "secure"
    found = [mode, sync, got.get("subtree_check", "no_subtree_check"), "sec=" + got.get("sec", "sys"), secure, squash]
    anonymous = (got.get("anonuid", "65534"), got.get("anongid", "65534"))
    if squash != "no_root_squash" and anonymous != ("65534", "65534"):
        found += ["anonuid=" + anonymous[0], "anongid=" + anonymous[1]]
    return found


def entries(etab: str) -> list[list[str]]:
    """Every entry of an export table as [path, client, option…], sorted."""
    found = []
    for line in etab.splitlines():
        path, _, rest = line.partition("\t")
        client, _, text = rest.strip().partition("(")
        found.append([path, client, *options(text.rstrip(")"))])
    return sorted(found)


def definitions(own: str) -> list[list[str]]:
    """Every [file, path, client] that other files than our own define, as far as exports(5) lets one read them."""
    found = []
    for name in ["/etc/exports", *sorted(glob.glob("/etc/exports.d/*.exports"))]:
        text = read(name)
        if name == own or text is None:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            words = line.partition("#")[0].split()
            found += [[name, words[0].strip('"'), word.partition("(")[0]] for word in words[1:] if word[0] != "-"]
            if len(words) == 1:
                found.append([name, words[0].strip('"'), "*"])
    return found


def directory(path: str) -> dict[str, Any] | None:
    try:
        info = os.lstat(path)
    except OSError:
        return None
    kind = "directory" if os.path.isdir(path) and not os.path.islink(path) else "other"
    return {"kind": kind, "uid": info.st_uid, "gid": info.st_gid, "mode": oct(info.st_mode & 0o7777)[2:].zfill(4)}


def unit(name: str) -> dict[str, str]:
    shown = subprocess.run(
        ["systemctl", "show", name, "--property=ActiveState,UnitFileState"], capture_output=True, text=True, timeout=30
    )
    return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)


def look(dropin: str, conf: str, directories: list[str]) -> dict[str, Any]:
    state = unit("nfs-server.service")
    return {
        "dropin": read(dropin),
        "conf": read(conf),
        "table": entries(read(ETAB) or ""),
        "elsewhere": definitions(dropin),
        "directories": {path: directory(path) for path in directories},
        "active": state.get("ActiveState") == "active",
        "enabled": state.get("UnitFileState") == "enabled",
        "versions": (read(VERSIONS) or "").split(),
    }


PRIVATE = """
set -e
mount --make-rprivate /
mount --bind "$1" /etc/exports.d
mount -t tmpfs none /var/lib/nfs
: > /var/lib/nfs/etab
if mountpoint -q /proc/fs/nfsd; then umount /proc/fs/nfsd; fi
exportfs -ra
cat /var/lib/nfs/etab
"""


def rehearse(dropin: str, text: str) -> list[list[str]]:
    """The table that the new drop-in would make, worked out in a mount namespace of its own."""
    folder = tempfile.mkdtemp(prefix="nanoclaw-pods-exports-")
    try:
        for name in glob.glob("/etc/exports.d/*.exports"):
            if name != dropin:
                shutil.copy(name, folder)
        with open(os.path.join(folder, os.path.basename(dropin)), "w", encoding="utf-8") as file:
            file.write(text)
        os.makedirs("/etc/exports.d", exist_ok=True)
        tried = subprocess.run(
            ["unshare", "--mount", "sh", "-c", PRIVATE, "_", folder], capture_output=True, text=True, timeout=60
        )
    finally:
        shutil.rmtree(folder)
    if tried.returncode != 0 or "No host name given" in tried.stderr:
        sys.exit(f"the export table was not changed; exportfs says of the new one:\n{tried.stderr}")
    return entries(tried.stdout)


def missing(wanted: list[list[str]], table: list[list[str]]) -> list[list[str]]:
    return [entry for entry in wanted if entry not in table]


def put(path: str, text: str | None) -> None:
    if text is not None:
        replace(path, text.encode(errors="surrogateescape"))
    elif os.path.lexists(path):
        os.unlink(path)


def apply(dropin: str, text: str, wanted: list[list[str]]) -> None:
    absent = missing(wanted, rehearse(dropin, text))
    if absent:
        sys.exit(f"the export table was not changed; these entries would not be what was meant: {absent}")
    old = read(dropin, "surrogateescape")
    put(dropin, text)
    done = subprocess.run(["exportfs", "-ra"], capture_output=True, text=True, timeout=60)
    absent = missing(wanted, entries(read(ETAB) or ""))
    if done.returncode != 0 or absent:
        put(dropin, old)
        subprocess.run(["exportfs", "-ra"], timeout=60)
        sys.exit(f"the old export table is back; the new one lacked {absent}; exportfs said:\n{done.stderr}")


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    if "text" in arguments:
        apply(**arguments)
    else:
        print(json.dumps(look(**arguments)))
