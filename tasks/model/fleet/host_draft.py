"""A machine while it is planned: each answer is worked out when it is asked for, from what it rests on alone.

To ask raises RefusedError where host data cannot be worked with, and WrongSettingError where the answer rests on a
setting with a wrong value. So every check that can be made is made, and none follows from another's error.
"""

import re
from collections.abc import Mapping
from functools import cached_property

from tasks.model.access.choose_strategy import AccessError, choose
from tasks.model.access.identity import DEFAULT_HOST, Ids, Squash, agent_of, parse_squash
from tasks.model.access.strategy import Strategy, squash_for
from tasks.model.fleet.addresses import ip_address, usable_address
from tasks.model.fleet.machine_addresses import Directory
from tasks.model.fleet.plan import HOSTS, SERVERS, HostPlan, Machine, Source, lies_in
from tasks.model.fleet.server_draft import NEEDED, RefusedError, ServerDraft, default_address
from tasks.model.fleet.settings import LOCAL, HostSettings, WrongSettingError
from tasks.model.fleet.system_paths import in_system, is_shared
from tasks.model.fleet.values import PATH_LENGTH

_DIRECTORY_NAME = re.compile(r"[A-Za-z0-9._@+-]+")


class HostDraft:
    """A machine of nanoclaw_hosts while it is planned.

    + servers: every machine of nfs_servers by name, None for one without a draft
    + directory: the whole inventory
    + observed: what a server that the role does not manage was seen to do
    + chosen: the ids of the host process where host data states none (tasks.model.host.host_ids)
    + driver: whether NanoClaw starts its agents by a session driver
    """

    def __init__(
        self,
        machine: Machine,
        settings: HostSettings,
        servers: Mapping[str, ServerDraft | None],
        directory: Directory,
        observed: Squash | None = None,
        chosen: Ids | None = None,
        *,
        driver: bool = False,
    ) -> None:
        self.name, self.settings, self._machine, self._driver = machine.name, settings, machine, driver
        self._default_ids = chosen or DEFAULT_HOST
        self._servers, self._directory, self._observed = servers, directory, observed

    def _refused(self, key: str, reason: str, text: str) -> RefusedError:
        return RefusedError(self.name, key, reason, text)

    @cached_property
    def host_ids(self) -> Ids:
        """The ids of the host process."""
        settings, user = self.settings, self.settings.nanoclaw_user
        root = user == "root"
        uid = settings.nanoclaw_uid if settings.nanoclaw_uid is not None else 0 if root else self._default_ids.uid
        if root and uid != 0:
            text = f"root is uid 0, not {uid}; leave it out, or set nanoclaw_user to another user"
            raise self._refused("nanoclaw_uid", "uid-of-root", text)
        if not root and uid == 0:
            text = f'0 is root; set nanoclaw_user to "root", or give {user} another uid'
            raise self._refused("nanoclaw_uid", "uid-is-root", text)
        default_gid = uid if root or settings.nanoclaw_uid is not None else self._default_ids.gid
        gid = settings.nanoclaw_gid if settings.nanoclaw_gid is not None else default_gid
        if root and gid != 0:
            raise self._refused("nanoclaw_gid", "gid-of-root", f"root is gid 0, not {gid}; leave it out")
        if not root and gid == 0:
            raise self._refused("nanoclaw_gid", "gid-is-root", f"0 is the group root; give {user} another gid")
        return Ids(uid, gid)

    @cached_property
    def image_user(self) -> Ids:
        return Ids(self.settings.nanoclaw_image_uid, self.settings.nanoclaw_image_gid)

    @cached_property
    def agent(self) -> Ids:
        """The ids of the agent's processes."""
        return agent_of(self.host_ids, self.image_user, driver=self._driver)

    @cached_property
    def server_name(self) -> str | None:
        """The machine of nfs_servers that exports to this host; None for another server and for local pods."""
        name = self.settings.pods_server
        if name is None:
            if len(self._servers) != 1:
                has, one = (f"{len(self._servers)} machines", "one of them") if self._servers else ("none", "one there")
                text = f'is needed: {SERVERS} has {has}; name {one}, the address of another server, or "{LOCAL}"'
                raise self._refused("pods_server", "server-needed", text)
            return next(iter(self._servers))
        if name == LOCAL or name in self._servers:
            return None if name == LOCAL else name
        if ip_address(name) is None:
            raise self._no_server(name)
        address = usable_address(name)
        if address is None:
            text = f"{name} is no address that other machines can reach; name the server's"
            raise self._refused("pods_server", "server-unreachable", text)
        return self._at(address)

    def _at(self, address: str) -> str | None:
        """The machine of nfs_servers that is mounted from an address; None for a server of somebody else."""
        name = self._directory.server_at(address)
        if name is None:
            if host := self._directory.host_at(address):
                owner = (
                    "this host's own address" if host == self.name else f"the address of {host}, which is in {HOSTS}"
                )
                text = (
                    f'{address} is {owner}; name a machine of {SERVERS}, another server, or "{LOCAL}" for a local disk'
                )
                raise self._refused("pods_server", "server-is-host", text)
            for server in self._directory.unaddressed:
                _ = self._server(server).address  # It raises: whether it is that server cannot be said.
            return None
        mounted_from = self._server(name).address
        if mounted_from != address:
            text = f"{address} is {name}, which is mounted from {mounted_from}; set it to {name}"
            raise self._refused("pods_server", "server-by-other-address", text)
        return name

    def _no_server(self, name: str) -> RefusedError:
        shown = self._directory.servers_shown
        if name in self._directory.hosts:
            text = f"{name} is in {HOSTS}; name a machine of {SERVERS} ({shown or 'it has none'})"
            return self._refused("pods_server", "server-is-host-name", text)
        near = self._directory.names.near(name)
        hint = f"; did you mean {near}?" if near else ""
        machines = f" ({shown})" if shown else ", which has none"
        text = f'{name!r} is no machine of {SERVERS}{machines}, no IP address and not "{LOCAL}"{hint}'
        return self._refused("pods_server", "server-unknown", text)

    @property
    def server(self) -> ServerDraft | None:
        """The machine behind `server_name`."""
        return self._server(self.server_name) if self.server_name else None

    def _server(self, name: str) -> ServerDraft:
        draft = self._servers[name]
        if draft is None:  # It is in nanoclaw_hosts too, which is reported.
            raise WrongSettingError(name)
        return draft

    @property
    def local(self) -> bool:
        """Whether the pods are a local file system."""
        return self.settings.pods_server == LOCAL

    @cached_property
    def source(self) -> Source | None:
        """What to mount at pods_path; None for local pods."""
        path = self.settings.pods_export
        if self.local:
            if path is not None:
                raise self._refused(
                    "pods_export", "export-of-local-pods", "local pods have none; leave it out, or set pods_server"
                )
            return None
        server = self.server
        if server is None:
            if path is None:
                text = f"the directory that {self.settings.pods_server} exports; the role does not manage that server"
                raise self._refused("pods_export", "export-needed", f"is needed: {text}")
            return Source(str(usable_address(str(self.settings.pods_server))), path)
        root = server.settings.nfs_export_root
        if path is None:
            if not _DIRECTORY_NAME.fullmatch(self.name) or self.name in (".", ".."):
                text = f"is needed: {self.name!r} is no name for a directory below {root}"
                raise self._refused("pods_export", "name-no-directory", text)
            path = f"{root}/{self.name}"
            if len(path) > PATH_LENGTH:
                text = f"is needed: {path[:40]}… is longer than {PATH_LENGTH} characters"
                raise self._refused("pods_export", "export-too-long", text)
        if in_system(path) and not (self.settings.pods_export is None and in_system(root)):
            below = f"use one below {root}" if self.settings.pods_export else "set pods_export to another"
            text = f"{path} lies in a directory of the system; {below}"
            raise self._refused("pods_export", "export-in-system", text)
        if is_shared(path):  # All that root has there would be given to an agent.
            text = f"{path} is not NanoClaw's alone; use a directory of its own"
            raise self._refused("pods_export", "export-shared", text)
        return Source(server.address, path)

    @cached_property
    def address(self) -> str | None:
        """The address of this machine as the server sees it; None where no server needs it."""
        address = self.settings.pods_address or default_address(self._machine)
        if address is None and self.server is not None:
            raise self._refused("pods_address", "host-address-needed", NEEDED)
        return None if self.local else address

    @cached_property
    def stated_squash(self) -> Squash | None:
        """What pods_export_options say that the server does."""
        options = self.settings.pods_export_options
        if options is None:
            return Squash("none") if self.local else None
        if self.local:
            text = "local pods have none; leave it out, or set pods_server"
            raise self._refused("pods_export_options", "export-options-of-local-pods", text)
        return parse_squash(options)

    @property
    def known_squash(self) -> Squash | None:
        """What is stated, or else what was observed."""
        return self.stated_squash or self._observed

    @cached_property
    def strategy(self) -> Strategy:
        managed = self.server_name is not None
        setting = self.settings.pods_access
        try:
            return choose(
                setting, self.host_ids, self.agent, managed=managed, squash=self.known_squash, local=self.local
            )
        except AccessError as error:
            stated = setting == "auto" and self.settings.pods_export_options is not None
            key = "pods_export_options" if stated else "pods_access"
            raise self._refused(key, error.code, str(error)) from None

    @cached_property
    def squash(self) -> Squash | None:
        """What the server does with ids, where it is known."""
        if self.known_squash is None and self.server_name is not None:
            return squash_for(self.strategy.name, self.agent)
        return self.known_squash

    @cached_property
    def trees(self) -> tuple[str, ...]:
        """The directories of the mounted file system that are this host's alone, relative to it."""
        pods, root = self.settings.pods_path, self.settings.nanoclaw_root
        return (root.removeprefix(pods),) if lies_in(root, pods) else ("/v2-sessions", "/groups")

    def plan(self) -> HostPlan:
        """The plan, when every question has an answer."""
        return HostPlan(
            name=self.name,
            settings=self.settings,
            host_ids=self.host_ids,
            image_user=self.image_user,
            strategy=self.strategy,
            squash=self.squash,
            server=self.server_name,
            source=self.source,
            address=self.address,
            driver=self._driver,
        )
