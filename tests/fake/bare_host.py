"""What a freshly installed machine has, and its reply to the preflight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from files.pods.machine.machine_state import IdState, MachineState
from files.pods.machine.protocol import AccountState
from tasks.model.host.host_ids import CANDIDATES

Documents = Mapping[str, Any]
"""Fact documents by the name of the program that prints them."""

GIB = 1 << 30
KEY = "00" * 32
PNPM = "10.33.0"
THERE_ANYWAY = ("apt-get", "chattr", "logrotate")
"""The PROGRAMS of a freshly installed machine."""
NO_ACCOUNT = AccountState(None, None, False, None, None, None, False, False)


def machine(name: str, account: AccountState | None = None) -> MachineState:
    return MachineState(
        uid=0,
        python=(3, 13),
        distribution="debian",
        version="13",
        hostname=name.rpartition("/")[2],
        systemd=True,
        protected_hardlinks=1,
        mounts=[],
        beneath={},
        account=account,
        person=None,
        free={"/var": 20 * GIB},
        ids=[IdState(number, None, None, None) for number in CANDIDATES[:8]],
    )
