"""What differs between distributions: names of packages and units, and paths."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Platform:
    """The names that one distribution has for what the role needs."""

    tools: Mapping[str, str]
    """Programs that every host needs, each with its package; likewise the other tools."""
    nfs_tools: Mapping[str, str]
    """Of hosts that mount their pods."""
    migration_tools: Mapping[str, str]
    """Of hosts with a NanoClaw v1."""
    certificates: str
    engine: str
    """Docker's engine. In some releases it has the client and buildx, too."""
    docker_client: str
    docker_buildx: str
    node: str
    npm: str
    node_path: str
    """Where the distribution's Node lies."""
    nfs_server: str
    nfs_server_unit: str
    docker_unit: str


DEBIAN_13 = Platform(
    tools={"git": "git", "logrotate": "logrotate"},
    nfs_tools={"mount.nfs": "nfs-common", "nft": "nftables", "chattr": "e2fsprogs"},
    migration_tools={"rsync": "rsync"},
    certificates="ca-certificates",
    engine="docker.io",
    docker_client="docker-cli",
    docker_buildx="docker-buildx",
    node="nodejs",
    npm="npm",
    node_path="/usr/bin/node",
    nfs_server="nfs-kernel-server",
    nfs_server_unit="nfs-server.service",
    docker_unit="docker.service",
)
"""Debian 13, and all releases that have its names: those of _RELEASES."""

_RELEASES = {"debian": (12, 0), "ubuntu": (22, 4)}
"""ID and lowest VERSION_ID of os-release(5)."""


def platform_of(distribution: str, version: str) -> Platform | None:
    """Return the platform of a machine by its os-release(5); None for one that is not supported.

    Debian's testing and unstable have no VERSION_ID; they come after every release.
    """
    lowest = _RELEASES.get(distribution)
    if lowest is None or (not version and distribution == "debian"):
        return DEBIAN_13 if lowest else None
    release = re.match(r"([0-9]{1,4})(?:\.([0-9]{1,4}))?(?![0-9])", version)
    return DEBIAN_13 if release and (int(release[1]), int(release[2] or 0)) >= lowest else None
