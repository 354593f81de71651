"""The guests' kernel: Debian's source of Linux, built for User-Mode Linux when it is missing.

Debian's package user-mode-linux traces each system call of a guest with ptrace(2), and has no nf_tables for ip and
inet. This kernel takes system calls by seccomp(2): a guest starts programs nine times faster. It has what NanoClaw's
hosts have, and nothing else. kernel.config states it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.lab.apt import controller_sources, download, lab_sources, os_codename
from tests.lab.errors import LabError
from tests.lab.paths import cache, locked
from tests.lab.shell import call, say

CONFIG = Path(__file__).with_name("kernel.config")
SUITE = "trixie-backports"
PACKAGE = "linux-source-7.2"
LEFT_OUT = ("drivers/gpu", "drivers/media", "drivers/net/ethernet", "drivers/net/wireless", "sound", "tools/testing")
"""Folders of the source that are not compiled. They are most of its size. Kconfig still reads their settings."""
JOBS = 3


def kernel() -> Path:
    """Return the path of the kernel's program; build it first if its settings changed or nobody built it yet."""
    folder = cache()
    path = folder / f"linux-{hashlib.sha256(repr((CONFIG.read_text(), SUITE, PACKAGE)).encode()).hexdigest()[:16]}"
    with locked(folder / "kernel.lock"):
        if not path.exists():
            build(path)
    return path


def version() -> str:
    """Return the kernel's version, which is also the name of its folder in /lib/modules."""
    return call([str(kernel()), "--version"]).strip()


def add_modules(root: Path) -> None:
    """Tell the root file system of a guest that the kernel has every module built in, so that modprobe(8) succeeds."""
    folder = root / "usr/lib/modules" / version()
    folder.mkdir(parents=True)
    shutil.copy(builtin_list(kernel()), folder / "modules.builtin")
    (folder / "modules.order").touch()


def builtin_list(program: Path) -> Path:
    """Return the path of the list of modules that a kernel has built in."""
    return program.with_name(f"{program.name}.builtin")


def build(path: Path) -> None:
    """Download the source, compile it, and put the kernel and the list of its modules in place."""
    say("building the guests' kernel: takes about 4 minutes, once")
    with tempfile.TemporaryDirectory(prefix="build-", dir=path.parent) as work:
        tree = source(Path(work))
        make = ["make", "-s", "-C", str(tree), "ARCH=um"]
        call([*make, f"KCONFIG_ALLCONFIG={CONFIG}", "allnoconfig"], timeout=120)
        if lost := missing_settings(CONFIG.read_text(), (tree / ".config").read_text()):
            raise LabError(f"the kernel's source does not take these lines of {CONFIG.name}: {' '.join(lost)}")
        call([*make, f"-j{JOBS}", "linux"], timeout=3600)
        shutil.copy(tree / "modules.builtin", builtin_list(path))
        (tree / "linux").rename(path)
    say("kernel built")


def source(work: Path) -> Path:
    """Download and unpack the source of Linux; return its folder."""
    archives = lab_sources(controller_sources(), os_codename(Path("/etc/os-release").read_text()), SUITE)
    package = download(PACKAGE, archives[:1], work)
    call(["dpkg-deb", "-x", str(package), str(work / "package")], timeout=300)
    archive = next((work / "package/usr/src").glob("linux-source-*.tar.xz"))
    excluded = [f"--exclude=*/{folder}/*.[chS]" for folder in LEFT_OUT]
    call(["tar", "-x", "-f", str(archive), "-C", str(work), *excluded], timeout=600)
    return next(work.glob("linux-source-*/"))


def missing_settings(stated: str, config: str) -> list[str]:
    """Return the lines of `stated` that a kernel's .config does not have."""
    return [line for line in stated.splitlines() if line.startswith("CONFIG_") and line not in config.splitlines()]
