"""The desired state of each machine of the fleet: the types. `plan_fleet` works them out from host data."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.model.access.identity import Ids, Squash, agent_of, runs_as_image_user
from tasks.model.access.strategy import Strategy
from tasks.model.fleet.settings import HostSettings, ServerSettings

SERVERS = "nfs_servers"
HOSTS = "nanoclaw_hosts"
BOUND = ("v2-sessions", "groups")
"""Directories of the pods that a local project root shows: of all sessions, and of all groups."""


def lies_in(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or something below it."""
    return f"{path}/".startswith(f"{directory}/")


@dataclass(frozen=True)
class Machine:
    """A machine as the inventory describes it: its name, its groups and its data."""

    name: str
    groups: tuple[str, ...]
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, order=True)
class Problem:
    """One error of the host data: where, which key, and what would be accepted."""

    machine: str
    key: str
    text: str
    reason: str = field(compare=False)
    """A code of the check that refuses; no other check has it."""

    def __str__(self) -> str:
        return f"{self.machine}: {self.key}: {self.text}"


@dataclass(frozen=True)
class Export:
    """One line of the export table: a directory, one client's address, and the options for it."""

    path: str
    client: str
    options: tuple[str, ...]
    owner: Ids
    """Who owns the export directory."""
    host: str
    """The inventory name of the host that it is for."""
    writers: tuple[Ids, ...] = ()
    """The ids that this host may have left files with: its host process's and its agent's."""
    holds_root: bool = False
    """Whether the host's whole project root is on it, not only its sessions and groups."""


@dataclass(frozen=True)
class ServerPlan:
    """The desired state of a machine of nfs_servers."""

    name: str
    settings: ServerSettings
    address: str
    exports: tuple[Export, ...] = ()


@dataclass(frozen=True)
class Source:
    """What is mounted at pods_path: a directory of an NFS server."""

    address: str
    path: str

    def __str__(self) -> str:
        return f"[{self.address}]:{self.path}" if ":" in self.address else f"{self.address}:{self.path}"


@dataclass(frozen=True)
class HostPlan:
    """The desired state of a machine of nanoclaw_hosts."""

    name: str
    settings: HostSettings
    host_ids: Ids
    """The ids of the host process."""
    image_user: Ids
    strategy: Strategy
    squash: Squash | None
    """What the server does with ids, where it is known."""
    server: str | None
    """The inventory name of the server, where the role manages it."""
    source: Source | None
    """What to mount at pods_path; None where the pods are a local file system."""
    address: str | None
    """The address of this machine as the server sees it; None where nothing is mounted."""
    driver: bool
    """Whether NanoClaw starts its agents by a session driver; before its files are read, what is expected of them."""

    @property
    def host_user(self) -> dict[str, Any]:
        """The user of the host process, as programs on the machine take it."""
        return {"user": self.settings.nanoclaw_user, "uid": self.host_ids.uid, "gid": self.host_ids.gid}

    @property
    def agent(self) -> Ids:
        """The ids of the agent's processes."""
        return agent_of(self.host_ids, self.image_user, driver=self.driver)

    @property
    def runs_as_image_user(self) -> bool:
        """Whether agents start as the image's USER, and not as the host process's ids."""
        return runs_as_image_user(self.host_ids, driver=self.driver)

    @property
    def stored_agent(self) -> Ids:
        """The ids that the agent's files have where they are stored: what the server makes of the agent."""
        return self.squash.map_ids(self.agent) if self.squash else self.agent

    @property
    def root(self) -> str:
        """The project root."""
        return self.settings.nanoclaw_root

    @property
    def root_on_pods(self) -> bool:
        """Whether the whole project root is on the pods, not only sessions and groups."""
        return lies_in(self.root, self.settings.pods_path)

    @property
    def slug(self) -> str:
        """NanoClaw's name for this install: the first 8 hexadecimal digits of the project root's SHA-1."""
        return hashlib.sha1(self.root.encode(), usedforsecurity=False).hexdigest()[:8]

    @property
    def lock(self) -> str:
        """What programs hold that write in the project root, so that those of two runs do not work at once."""
        return f"/run/nanoclaw-pods/{self.slug}.lock"

    @property
    def unit(self) -> str:
        """The name of the service's systemd unit."""
        return f"nanoclaw-v2-{self.slug}.service"

    @property
    def image(self) -> str:
        """The name under which the host process starts the agent image."""
        return self.settings.nanoclaw_image_name or f"nanoclaw-agent-v2-{self.slug}:latest"

    @property
    def onecli(self) -> str | None:
        """The address of OneCLI by the settings; None where only .env may have it."""
        return self.settings.nanoclaw_environment.get("ONECLI_URL") or self.settings.nanoclaw_gateway_server

    @property
    def sessions(self) -> str:
        """The directory of all session directories, as NanoClaw sees it."""
        return f"{self.root}/data/v2-sessions"

    @property
    def groups(self) -> str:
        """The directory of all group directories, as NanoClaw sees it."""
        return f"{self.root}/groups"

    @property
    def binds(self) -> tuple[tuple[str, str], ...]:
        """Directories of the pods and where they are bound in a local project root: (source, target)."""
        if self.root_on_pods:
            return ()
        pods = self.settings.pods_path
        return tuple(zip((f"{pods}/{name}" for name in BOUND), (self.sessions, self.groups), strict=True))


@dataclass(frozen=True)
class FleetPlan:
    """The plans of all machines, by inventory name."""

    servers: Mapping[str, ServerPlan]
    hosts: Mapping[str, HostPlan]


class FleetError(ValueError):
    """Host data that cannot be worked with: every problem of the whole fleet."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))
