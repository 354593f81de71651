"""A machine of nfs_servers while it is planned, and what drafts answer with where host data gives no answer."""

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from tasks.model.fleet.addresses import usable_address
from tasks.model.fleet.plan import Machine, Problem
from tasks.model.fleet.settings import ServerSettings, WrongSettingError

S = TypeVar("S")
T = TypeVar("T")

NEEDED = "is needed: neither ssh_hostname nor the machine's name is an IP address that other machines can reach"


class RefusedError(Exception):
    """An answer that host data does not give: the problem to report."""

    def __init__(self, machine: str, key: str, reason: str, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(machine, key, text, reason)


def known(subject: S, question: Callable[[S], T]) -> T | None:
    """What a machine answers to a question, or None if there is no answer."""
    try:
        return question(subject)
    except (RefusedError, WrongSettingError):
        return None


def default_address(machine: Machine) -> str | None:
    """The machine's address for others, from its ssh_hostname or its name, if that is an IP address."""
    stated = (machine.data.get("ssh_hostname"), machine.name)
    return next((address for text in stated if isinstance(text, str) and (address := usable_address(text))), None)


class ServerDraft:
    """A machine of nfs_servers while it is planned."""

    def __init__(self, machine: Machine, settings: ServerSettings) -> None:
        self.name, self.settings, self._machine = machine.name, settings, machine

    @cached_property
    def address(self) -> str:
        """The address that hosts mount from."""
        address = self.settings.nfs_address or default_address(self._machine)
        if address is None:
            raise RefusedError(self.name, "nfs_address", "server-address-needed", NEEDED)
        return address
