"""Predict, action by action, what the kernel allows to whom in the life of a session. The sources of the rules:
+ path_resolution(7), chown(2), unlink(2), mkdir(2): modes, who may chown, the set-group-id directory.
+ SQLite: databases are made with mode 0644, and a writer makes its journal beside the database.
+ idmapd.conf(5): NFSv4 names owners; where the domains differ, a change of owner is EINVAL and nothing else fails.
+ moby #35002: dockerd, as root, looks at each bind source and makes the mount points inside the session directory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from tasks.model.access.identity import (
    ROOT,
    Docker,
    IdentityError,
    Ids,
    agent_of,
    check_id,
    check_word,
    on_machine,
    runs_as_image_user,
)
from tasks.model.access.outcome import Answer, NotAllowedError, denied, unknown
from tasks.model.access.storage import Node, Process, Storage

Chowner = Literal["nobody", "host", "guard", "server"]
"""Who chowns a new session to the agent before its container starts."""

Action = Literal[
    "host creates the session directory",
    "host creates and writes inbound.db",
    "host creates outbound.db",
    "host chowns the tree to the agent",
    "guard chowns the tree to the agent",
    "server chowns the tree to the agent",
    "dockerd makes the mount points",
    "agent reads inbound.db",
    "agent writes outbound.db",
    "agent touches .heartbeat",
    "agent writes into the group directory",
    "agent writes into .claude-shared",
    "host cleans claims in outbound.db",
    "host writes inbound.db again",
    "host deletes .heartbeat",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""In the order of a session's life."""

_CREATED_DIRECTORY, _CREATED_DATABASE = 0o755, 0o644


@dataclass(frozen=True)
class Case:
    """One arrangement; IdentityError for ids and names that do not exist, and where Docker maps no id to the agent."""

    host: Ids
    image_user: Ids | None
    """The ids of the image's USER; None where it is a name that was not looked up."""
    storage: Storage
    tree: Node
    """The directory that session directories are made in."""
    groups: frozenset[int] = frozenset()
    """The host process's supplementary groups."""
    docker: Docker = "plain"
    remapped_from: int = 100_000
    """The first id of the range that container ids are mapped to (subuid(5)), where Docker maps them."""
    chown_by: Chowner = "nobody"
    driver: bool = False
    """Whether NanoClaw starts its agents by a session driver."""

    def __post_init__(self) -> None:
        check_word("docker", self.docker, Docker)
        check_word("chown_by", self.chown_by, Chowner)
        check_id("first mapped id", self.remapped_from)
        for gid in self.groups:
            check_id("gid", gid)
        _ = self.agent

    @property
    def agent(self) -> Ids | None:
        """The agent's ids on the machine, or None where they are not known."""
        if self.image_user is None and runs_as_image_user(self.host, driver=self.driver):
            return None
        inside = agent_of(self.host, self.image_user or ROOT, driver=self.driver)
        return on_machine(inside, self.docker, self.host, self.remapped_from)


def live(case: Case, actions: Sequence[Action] = ACTIONS) -> dict[Action, Answer]:
    """Predict the outcome of each action, done in this order; for a repeated action, the last outcome.

    Raises IdentityError for an action that does not exist.
    """
    for action in actions:
        check_word("action", action, Action)
    life = _Life(case)
    return {action: life.judge(action) for action in actions}


@dataclass
class _Life:
    case: Case
    nodes: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes["tree"] = self.case.tree
        self.host = Process("the host process", self.case.host, self.case.groups)
        self.root = Process("root", ROOT)

    def judge(self, action: Action) -> Answer:
        try:
            if self.case.storage.kind != "local" and self.case.storage.squash is None:
                raise unknown("how the server maps ids is not known: state it in pods_export_options")
            return Answer("allowed", None, "; ".join(self._carry_out(action)))
        except NotAllowedError as error:
            return error.answer

    def _carry_out(self, action: Action) -> Iterator[str]:
        name = "inbound" if "inbound" in action else "outbound"
        match action:
            case "host creates the session directory":
                yield self._create(self.host, "tree", "session", _CREATED_DIRECTORY)
                for beside in ("group", "shared", "like"):
                    self._create(self.host, "tree", beside, _CREATED_DIRECTORY)
            case "host creates and writes inbound.db" | "host creates outbound.db":
                if name in self.nodes:
                    yield self._write_database(self.host, name, through="tree")
                else:
                    yield self._create(self.host, "session", name, _CREATED_DATABASE, through="tree")
            case "host chowns the tree to the agent":
                yield self._chown_tree("host", self.host)
            case "guard chowns the tree to the agent" | "server chowns the tree to the agent":
                yield self._chown_tree("guard", self.root) if "guard" in action else self._chown_tree("server", None)
            case "dockerd makes the mount points":
                if self.case.docker != "plain":
                    raise unknown(f"with {self.case.docker} another user than root makes them")
                yield self._create(self.root, "session", "agent", _CREATED_DIRECTORY, through="tree")
            case "agent reads inbound.db":
                yield self._access(self._agent(), "inbound", 4)
            case "agent writes outbound.db":
                yield self._write_database(self._agent(), "outbound")
            case "agent touches .heartbeat":
                yield self._create(self._agent(), "session", "heartbeat", _CREATED_DATABASE)
            case "agent writes into the group directory":
                yield self._create(self._agent(), "group", "notes", _CREATED_DATABASE)
            case "agent writes into .claude-shared":
                yield self._create(self._agent(), "shared", "settings", _CREATED_DATABASE)
            case "host cleans claims in outbound.db" | "host writes inbound.db again":
                yield self._write_database(self.host, name, through="tree")
            case "host deletes .heartbeat":
                self._reach(self.host, "session", through="tree")
                self._reach(self.host, "heartbeat", within="session")
                yield self._access(self.host, "session", 3)
                del self.nodes["heartbeat"]
            case _:
                raise IdentityError(f"action {action!r} has no rule")

    # Each of these returns the rule that allows it, or raises.

    def _agent(self) -> Process:
        if self.case.agent is None:
            raise unknown("the image's USER is a name: only a machine with the image knows its ids")
        return Process("the agent", self.case.agent)

    def _access(self, who: Process, name: str, permission: int) -> str:
        node, acting = self._node(name), self.case.storage.acting(who)
        if acting.ids.uid == 0:
            return f"{self.case.storage.says(who)}, and root may do anything"
        rights, kind = acting.rights(node)
        text = f"{self.case.storage.says(who)}; {_NAMES[name]} is {node}, which gives {kind}"
        letters = "".join(letter for bit, letter in ((4, "r"), (2, "w"), (1, "x")) if permission & bit)
        if rights & permission != permission:
            raise denied("EACCES", f"{text} no {letters}")
        return f"{text} {letters}"

    def _node(self, name: str) -> Node:
        if name not in self.nodes:
            raise denied("ENOENT", f"{_NAMES[name]} was never made")
        return self.nodes[name]

    def _reach(self, who: Process, name: str, *, through: str | None = None, within: str | None = None) -> None:
        """Look a name up: each directory on the way needs x. A container's bind mount hides what is above it."""
        for directory in (through, within):
            if directory:
                self._access(who, directory, 1)
        self._node(name)

    def _create(self, who: Process, directory: str, name: str, mode: int, *, through: str | None = None) -> str:
        """Create what is absent; what exists keeps its owner and mode: mkdir -p leaves it, O_CREAT opens it."""
        self._reach(who, directory, through=through)
        if name in self.nodes:
            verdict = self._access(who, directory, 1)
            return verdict if mode == _CREATED_DIRECTORY else self._access(who, name, 2)
        text = self._access(who, directory, 3)
        parent, ids = self._node(directory), self.case.storage.acting(who).ids
        inherits = bool(parent.mode & 0o2000)
        bits = mode | 0o2000 if inherits and mode == _CREATED_DIRECTORY else mode
        self.nodes[name] = Node(Ids(ids.uid, parent.owner.gid if inherits else ids.gid), bits)
        return text

    def _write_database(self, who: Process, name: str, *, through: str | None = None) -> str:
        self._reach(who, "session", through=through)
        self._reach(who, name, within="session")
        text = self._access(who, name, 6)
        self._access(who, "session", 3)
        return text

    def _chown_tree(self, chown_by: Chowner, who: Process | None) -> str:
        """Chown what the host created: the tree itself where the case names this process, else a directory like it."""
        agent, storage = self._agent().ids, self.case.storage
        owner = storage.acting(Process("", agent)).ids
        target = "session" if chown_by == self.case.chown_by else "like"
        if who is None:
            self._node(target)
            text = "root on the server's own disk may chown files (chown(2))"
        else:
            self._reach(who, target, through="tree")
            text = self._chown(who, self._node(target), agent)
        if chown_by == self.case.chown_by:
            for name in ("session", "group", "shared", "inbound", "outbound"):
                if name in self.nodes:
                    self.nodes[name] = Node(owner if who is None else agent, self.nodes[name].mode)
        return text

    def _chown(self, who: Process, node: Node, agent: Ids) -> str:
        storage, acting = self.case.storage, self.case.storage.acting(who)
        if storage.kind == "nfs4" and storage.broken_mapping:
            raise denied("EINVAL", "NFSv4 maps ids by name here and the domains differ (idmapd.conf(5))")
        if acting.ids.uid == 0:
            return f"{self.case.storage.says(who)}, and root may chown files (chown(2))"
        own = acting.ids.uid == node.owner.uid == agent.uid
        if own and (agent.gid == node.owner.gid or agent.gid in {acting.ids.gid, *acting.groups}):
            return f"{self.case.storage.says(who)}, who owns it already"
        reason = "only root may chown files to another user (chown(2))"
        raise denied("EPERM", f"{self.case.storage.says(who)}, and {reason}")


_NAMES = {
    "tree": "the directory of sessions",
    "session": "the session directory",
    "like": "the session directory",
    "group": "the group directory",
    "shared": ".claude-shared",
    "notes": "a file of the group directory",
    "settings": "a file of .claude-shared",
    "agent": "the mount point",
    "inbound": "inbound.db",
    "outbound": "outbound.db",
    "heartbeat": ".heartbeat",
}
