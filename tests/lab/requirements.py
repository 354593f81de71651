"""What the lab needs on its machine, and how it reports what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

DEBIAN_PACKAGES = (
    "bc",
    "bison",
    "debian-archive-keyring",
    "e2fsprogs",
    "flex",
    "gcc",
    "git",
    "iproute2",
    "kmod",
    "libc6-dev",
    "make",
    "mmdebstrap",
    "nftables",
    "openssh-client",
    "xz-utils",
)
"""Debian packages of the controller that the lab calls."""

PROGRAMS = {
    "bc": "bc",
    "bison": "bison",
    "cc": "gcc libc6-dev",
    "flex": "flex",
    "git": "git",
    "ip": "iproute2",
    "make": "make",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ssh": "openssh-client",
    "unshare": "util-linux",
    "xz": "xz-utils",
}
"""Each program the lab calls, and the package that brings it."""

TEST_PROGRAMS = {
    "cc": "gcc libc6-dev",
    "gpg": "gpg",
    "ip6tables-legacy": "iptables",
    "node": "nodejs",
    "rsync": "rsync",
    "sqlite3": "sqlite3",
    "systemd-analyze": "systemd",
    "systemd-escape": "systemd",
}
"""Each program that unit tests call beside these; without one its tests are skipped, and fail in CI."""

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def missing_packages() -> list[str]:
    """Return the Debian packages that this machine lacks, by their programs."""
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None})


def unsupported_reason() -> str | None:
    """Return why the lab cannot run here, in one line, or None."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the lab needs Linux on x86-64, and this is {platform.system()} on {platform.machine()}"
    if os.geteuid() != 0:
        return "the lab makes a bridge and taps, so it needs root: run it with sudo"
    if not Path("/dev/net/tun").exists():
        return "the lab needs /dev/net/tun: `modprobe tun`, or start this container with --device /dev/net/tun"
    if missing := missing_packages():
        return f"programs are missing: apt-get install --no-install-recommends {' '.join(missing)}"
    return None


def install_missing() -> None:
    """Install missing packages where that is possible; `unsupported_reason` reports the rest."""
    tools = [package for program, package in TEST_PROGRAMS.items() if shutil.which(program) is None]
    packages = " ".join([*missing_packages(), *tools]).split()
    if not packages or os.geteuid() != 0 or shutil.which("apt-get") is None or platform.machine() != "x86_64":
        return
    print(f"setup: installing the lab's Debian packages: {' '.join(packages)}", flush=True)
    quiet = ("-q", "-y", "-o", "DPkg::Lock::Timeout=300")
    subprocess.run(["apt-get", "-q", "update"], check=True, stdout=subprocess.DEVNULL)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", *quiet, "--no-install-recommends", *DEBIAN_PACKAGES, *packages]
    subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)
