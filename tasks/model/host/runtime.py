"""The programs that NanoClaw needs of a machine before its source: what is missing, what is refused."""

import re

from files.pods.machine.protocol import RuntimeRequest, RuntimeState
from tasks.model.fleet.plan import HostPlan
from tasks.model.fleet.settings import HostSettings
from tasks.model.platform.platform import DEBIAN_13
from tasks.model.problem import UnfitError

NODESOURCE = "https://deb.nodesource.com"
"""Where NodeSource's packages are (for nanoclaw_node: nodesource)."""

NODESOURCE_KEY = "6F71F525282841EEDAF851B42F59B5F99B1BE0B4"
"""The fingerprint of the key that NodeSource signs its packages with."""

_PREFERRED_NODE = 22
"""What NanoClaw's own .nvmrc names."""


_NO_CLIENT = (
    "this machine has a Docker engine, but the host user finds no docker command in its PATH (snap's is in /snap/bin, "
    "where NanoClaw's service does not look): install Docker's packages, or link /usr/local/bin/docker to it"
)


def missing_packages(current: RuntimeState, settings: HostSettings, *, nfs: bool) -> tuple[str, ...]:
    """Packages of the distribution to install. Raises UnfitError where no package can help.

    Docker's client and buildx are packages of their own in some releases only: they count where apt knows them.

    + nfs: whether the machine mounts its pods from an NFS server
    """
    if current.unusable:
        paths = ", ".join(current.unusable)
        raise UnfitError(
            f"{settings.nanoclaw_user} finds {paths} first in its PATH and cannot run it: remove it, or put one in "
            f"its place that other users than root can run (runuser -u {settings.nanoclaw_user} -- "
            f"{current.unusable[0]} --version)"
        )
    needed = {**DEBIAN_13.tools, **(DEBIAN_13.nfs_tools if nfs else {})}
    needed |= DEBIAN_13.migration_tools if settings.nanoclaw_v1_dir else {}
    packages = [package for program, package in needed.items() if not current.programs[program]]
    packages += [] if current.certificates else [DEBIAN_13.certificates]
    if not current.engine:
        packages.append(DEBIAN_13.engine)
    if not current.programs["docker"]:
        client = _known(current, DEBIAN_13.docker_client)
        packages += client
        if current.engine and not current.docker_io and current.candidates and not client:
            raise UnfitError(_NO_CLIENT)
    if settings.nanoclaw_image == "build" and not current.buildx and (current.docker_io or not current.engine):
        packages += _known(current, DEBIAN_13.docker_buildx)
    packages += _node_packages(current, settings)
    if packages and not current.programs["apt-get"]:
        raise UnfitError(f"this machine has no apt-get; install {', '.join(packages)} on it, then run again")
    return tuple(packages)


def nodesource_major(current: RuntimeState, settings: HostSettings) -> int | None:
    """The major version of Node to install from NodeSource, or None where that is not to be done."""
    low, high = settings.nanoclaw_node_versions
    if settings.nanoclaw_node != "nodesource" or (current.node and low <= current.node.major):
        return None
    if low <= _PREFERRED_NODE <= high:
        return _PREFERRED_NODE
    return high if high % 2 == 0 or high == low else high - 1


def node_problem(current: RuntimeState, settings: HostSettings) -> str | None:
    """Why the Node that is there, or none, is not accepted, and the way out."""
    low, high = settings.nanoclaw_node_versions
    accepted = f"nanoclaw_node_versions accepts {low} to {high}"
    if current.node is None:
        return f'this machine has no Node; install one ({accepted}), or set nanoclaw_node to "nodesource"'
    if not low <= current.node.major <= high:
        return (
            f"{current.node.path} is Node {current.node.major}, and {accepted}; remove it or put another in its place, "
            'set nanoclaw_node to "nodesource", or widen nanoclaw_node_versions'
        )
    if not current.programs["npm"]:
        return f"{current.node.path} has no npm beside it, and npm installs pnpm; install npm"
    return None


def _node_packages(current: RuntimeState, settings: HostSettings) -> list[str]:
    low, high = settings.nanoclaw_node_versions
    node = current.node
    if settings.nanoclaw_node != "machine":
        replaceable = node is None or (node.path == DEBIAN_13.node_path and node.major < low)
        if nodesource_major(current, settings) is not None and replaceable:
            return []
        if node is None:
            return _distributions_node(current, low, high)
        if low <= node.major <= high and node.path == DEBIAN_13.node_path and not current.programs["npm"]:
            return [DEBIAN_13.npm]
    if problem := node_problem(current, settings):
        raise UnfitError(problem)
    return []


def _distributions_node(current: RuntimeState, low: int, high: int) -> list[str]:
    candidate = current.candidates.get(DEBIAN_13.node, "")
    major = re.match(r"(?:[0-9]+:)?([0-9]+)\.", candidate)
    if major and not low <= int(major[1]) <= high:
        raise UnfitError(
            f"the distribution's Node is {candidate}, and nanoclaw_node_versions accepts {low} to {high}; set "
            'nanoclaw_node to "nodesource", or install another and set it to "machine"'
        )
    return [DEBIAN_13.node] if "nodesource" in candidate else [DEBIAN_13.node, DEBIAN_13.npm]


def _known(current: RuntimeState, package: str) -> list[str]:
    return [package] if package in current.candidates else []


def runtime_request(plan: HostPlan) -> RuntimeRequest:
    """What a host is asked about programs."""
    candidates = [DEBIAN_13.engine, DEBIAN_13.docker_client, DEBIAN_13.docker_buildx, DEBIAN_13.node]
    return RuntimeRequest(**plan.host_user, engine=DEBIAN_13.engine, npm=DEBIAN_13.npm, candidates=candidates)
