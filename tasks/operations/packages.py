"""Debian packages; apt.packages with update=True fetches the lists in every run, and waits for no lock there.

So it is never without a change, in a dry run neither. Its fact takes a dpkg that fails for one without packages, and
is a round trip of its own; ours is a part of the one round trip (tasks/questions.py).
"""

from pyinfra import host
from pyinfra.api import StringCommand

from files.pods.machine.protocol import PackagesReply, PackagesRequest
from tasks.command import argv
from tasks.operations.base import Commands, lasting_operation, read_state

_APT = ("-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")


@lasting_operation
def debian_packages(packages: list[str]) -> Commands:
    """Install what is missing of `packages`, without recommended ones.

    Owns: that these packages are installed. Leaves alone: their versions, every other package.
    Changes: when dpkg says that one is not installed. Waits up to five minutes for another apt to finish.
    """
    installed = read_state(PackagesReply, PackagesRequest(packages)).installed
    missing = [name for name in packages if name not in installed]
    if not missing:
        host.noop(f"installed: {', '.join(packages)}")
        return
    yield apt_update()
    yield apt_install(*missing)


def apt_update() -> StringCommand:
    """Fetch the lists of packages."""
    return argv("apt-get", "update", *_APT)


def apt_install(*packages: str) -> StringCommand:
    """Install packages without recommended ones."""
    arguments = ("install", *_APT, "--no-install-recommends", *packages)
    return StringCommand("DEBIAN_FRONTEND=noninteractive", argv("apt-get", *arguments))
