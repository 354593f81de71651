"""The NFS server of a machine: its state, its protocol versions, and its clients."""

from __future__ import annotations

import glob
import hashlib
import ipaddress
import os
import re
import subprocess
import sys
from typing import Any

from files.pods.common.read_text import read_text_or_none
from files.pods.common.run_command import run_command
from files.pods.nfs.export_entries import canonical_address, canonical_client

UNIT = "nfs-server.service"
NFSD = "/proc/fs/nfsd"
NFS_PORT = 2049
TRUE, FALSE = ("1", "t", "true", "y", "yes", "on"), ("0", "f", "false", "n", "no", "off")  # as nfs-utils reads them


def output_of(argv: list[str]) -> str | None:
    """Return the output of a command, or None if it fails or is missing."""
    try:
        done = run_command(argv, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def service() -> dict[str, Any]:
    """Return the state of the server in systemd and in the kernel."""
    shown = output_of(["systemctl", "show", UNIT, "--property=ActiveState,UnitFileState,ExecStart"]) or ""
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    start = "".join(re.findall(r"argv\[\]=([^;]*)", state.get("ExecStart", "")))
    basis = f"{start}\n{output_of(['nfsconf', '--dump'])}"
    return {
        "active": state.get("ActiveState") == "active",
        "enabled": state.get("UnitFileState") == "enabled",
        "threads": int((read_text_or_none(NFSD + "/threads") or "0").strip() or 0),
        "versions": (read_text_or_none(NFSD + "/versions") or "").split(),
        "basis": hashlib.sha256(basis.encode(errors="replace")).hexdigest(),
    }


def version_order(path: str) -> list[Any]:
    """nfs-utils reads /etc/nfs.conf.d in the order of strverscmp(3)."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", os.path.basename(path))]


def yes(text: str | None) -> bool | None:
    """Parse a boolean of nfs.conf(5); None if it is none."""
    word = (text or "").lower()
    return True if word in TRUE else False if word in FALSE else None


def v3_settings(own: str) -> dict[str, Any]:
    """Return what decides whether NFSv3 is served (nfs.conf(5), nfsd, vers3), by `nfsconf`: all files, and each.

    + own: the role's file, which has its place among the others whether it is there or not
    """
    names = {name for name in glob.glob("/etc/nfs.conf.d/*.conf") if os.path.isfile(name)} | {own}
    values = [(name, yes(output_of(["nfsconf", "--file", name, "--get", "nfsd", "vers3"]))) for name in names]
    values.sort(key=lambda value: version_order(value[0]))
    return {
        "v3": yes(output_of(["nfsconf", "--get", "nfsd", "vers3"])),
        "v3_files": [(name, value) for name, value in values if value is not None or name == own],
    }


def connected() -> list[str] | None:
    """Return the addresses of clients that hold state or a connection; None where the kernel has no list."""
    if not os.path.exists(NFSD + "/threads"):
        return []  # no server runs
    if not os.path.isdir(NFSD + "/clients"):
        return None
    addresses = set()
    for name in glob.glob(NFSD + "/clients/*/info"):
        match = re.search(r'^address: "(.*):[0-9]+"$', read_text_or_none(name) or "", re.MULTILINE)
        if match:
            addresses.add(canonical_address(match[1].strip("[]")))
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (read_text_or_none(name) or "").splitlines()[1:]:
            _number, local, remote, state = line.split()[:4]
            if state == "01" and int(local.rpartition(":")[2], 16) == NFS_PORT:
                addresses.add(socket_address(remote.partition(":")[0]))
    return sorted(addresses)


def socket_address(text: str) -> str:
    """Return an address of /proc/net/tcp: groups of 32 bits in the byte order of the machine."""
    groups = [int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)]
    return canonical_address(str(ipaddress.ip_address(b"".join(groups))))


def mounted_by(rmtab: str) -> list[list[str]]:
    """Return every [path, client] that mountd has on its list (rpc.mountd(8), rmtab): NFSv3 alone."""
    mounts = set()
    for line in rmtab.splitlines():
        client, separator, path = line.rpartition(":")[0].partition(":/")
        if separator:
            mounts.add(("/" + path, canonical_client(client)))
    return sorted(list(entry) for entry in mounts)
