"""The lab: real Debian machines as User-Mode Linux processes, on a network of their own.

    with Lab("default").running() as lab:
        lab["server"].succeed("systemctl start nfs-server")

or, from a shell, `python -m tests.lab up`.
"""

from tests.lab.errors import CommandFailedError, CommandTimeoutError, LabError
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.requirements import DEBIAN_PACKAGES, unsupported_reason
from tests.lab.topology import DEFAULT_TOPOLOGY, MachineSpec, host, server

__all__ = [
    "DEBIAN_PACKAGES",
    "DEFAULT_TOPOLOGY",
    "CommandFailedError",
    "CommandTimeoutError",
    "Lab",
    "LabError",
    "Machine",
    "MachineSpec",
    "host",
    "server",
    "unsupported_reason",
]
