"""The access strategies: which of them can work for a host, which one is chosen, and the ways out of a refusal.

What cannot work is not listed here: tasks.model.access.session_lifecycle says what the kernel allows, action by action.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tasks.model.access.identity import ROOT, Ids, Squash
from tasks.model.access.outcome import Answer
from tasks.model.access.session_lifecycle import Action, Case, live
from tasks.model.access.storage import Node, Storage

Wanted = Literal["auto", "squash", "chown", "native"]

Access = Literal["squash", "chown", "native"]
"""How sessions come to belong to the agent: see `tasks.model.access.identity`."""
_ACCESSES: tuple[Access, ...] = ("squash", "native", "chown")
"""In the order in which `auto` prefers them."""


@dataclass(frozen=True)
class Choice:
    """A strategy and the sentence that says why."""

    access: Access
    reason: str


class AccessError(ValueError):
    """A combination that cannot work. Its text names the reason and the ways out.

    Each of `ways` is a change of settings (None: the default) with which the combination is accepted.
    """

    def __init__(self, reason: str, ways: list[dict[str, Any]], *, managed: bool) -> None:
        self.reason, self.ways = reason, ways
        super().__init__(f"{reason}; {', or '.join(_in_words(way, managed) for way in ways)}")


def choose(
    wanted: Wanted, host: Ids, agent: Ids, *, managed: bool, squash: Squash | None, local: bool = False
) -> Choice:
    """The strategy for a host, or an AccessError.

    + wanted: the setting pods_access
    + managed: whether the role writes the export
    + squash: what the server does, where it is known
    + local: whether the pods are a local file system; then `squash` is `Squash("none")`
    """
    case = _Case(host, agent, managed, squash, local)
    if wanted == "auto":
        return case.automatic()
    reason = case.refusal(wanted)
    if reason is not None:
        raise AccessError(reason, list(case.ways(wanted)), managed=managed)
    return Choice(wanted, f"pods_access says {wanted}")


def squash_for(access: Access, agent: Ids) -> Squash:
    """The squash that the role exports with, for a strategy.

    `native` maps root alone, to the agent: dockerd is root and makes mount points in session directories.
    """
    if access == "squash":
        return Squash("all", anonymous(agent))
    if access == "native":
        return Squash("root", anonymous(agent))
    return Squash("none")


def anonymous(agent: Ids) -> Ids:
    """The ids that stand for an agent on a server: never the group root, which some images have."""
    return agent if agent.gid != 0 else Ids(agent.uid, agent.uid)


NEEDED: tuple[Action, ...] = (
    "host creates the session directory",
    "host creates and writes inbound.db",
    "host creates outbound.db",
    "dockerd makes the mount points",
    "agent reads inbound.db",
    "agent writes outbound.db",
    "agent touches .heartbeat",
    "agent writes into the group directory",
    "agent writes into .claude-shared",
    "host cleans claims in outbound.db",
    "host writes inbound.db again",
    "host deletes .heartbeat",
)
"""What must be allowed, whatever the strategy, for messages to be answered."""

CANNOT: Mapping[Action, str] = {
    "host creates the session directory": "the host process cannot make a session",
    "host creates and writes inbound.db": "the host process cannot make inbound.db",
    "host creates outbound.db": "the host process cannot make outbound.db",
    "host chowns the tree to the agent": "the host process cannot give sessions to the agent",
    "guard chowns the tree to the agent": "the guard cannot give sessions to the agent",
    "server chowns the tree to the agent": "the server cannot give sessions to the agent",
    "dockerd makes the mount points": "dockerd cannot make /workspace/agent, and no container starts",
    "agent reads inbound.db": "the agent cannot read its messages",
    "agent writes outbound.db": "the agent's container exits with code 1: attempt to write a readonly database",
    "agent touches .heartbeat": "the agent cannot show that it lives",
    "agent writes into the group directory": "the agent cannot keep its memory",
    "agent writes into .claude-shared": "Claude Code cannot keep its sessions, and messages end without an answer",
    "host cleans claims in outbound.db": "the host process cannot clean up after an agent that died",
    "host writes inbound.db again": "the host process cannot add a message to a session",
    "host deletes .heartbeat": "the host process cannot remove the sign of life of an agent that ended",
}
"""What an operator meets where an action is denied."""


def expected_life(access: Access, host: Ids, agent: Ids, squash: Squash | None) -> dict[Action, Answer]:
    """The life of a new session under a strategy, in a tree as the role makes it. `squash`: None on a local disk."""
    kept = agent if squash is None else squash.seen(agent)
    tree = Node(ROOT if access == "chown" else kept, 0o755)
    storage = Storage("local" if squash is None else "nfs4", squash)
    return live(Case(host, agent, storage, tree, giver="guard" if access == "chown" else "nobody"))


def obstacle(life: Mapping[Action, Answer]) -> str | None:
    """The first needed action that is not allowed, with the rule and what an operator meets; None where all are."""
    for action in NEEDED:
        if life[action].outcome != "allowed":
            return f"{life[action].reason}: {CANNOT[action]}"
    return None


@dataclass(frozen=True)
class _Case:
    host: Ids
    agent: Ids
    managed: bool
    squash: Squash | None
    local: bool

    def automatic(self) -> Choice:
        reasons: list[str] = []
        for access in _ACCESSES:
            reason = self.refusal(access)
            if reason is None:
                return Choice(access, self._why(access))
            reasons.append(reason)
        if self.squash and self.squash.maps != "none":
            reasons = reasons[:1]  # What the server does is the cause; the rest only repeats it.
        raise AccessError("; ".join(dict.fromkeys(reasons)), list(self.ways("auto")), managed=self.managed)

    def _why(self, access: Access) -> str:
        if access == "native":
            return f"the host process has the agent's uid ({self.agent.uid})"
        if access == "chown":
            return f"the host process is root and gives sessions to the agent ({self.agent})"
        if self.squash is None:
            return "the role manages the server, which can give every session to the agent at birth"
        return (
            f"the server maps the host process and root to the uid of the agent's files ({self.squash.anonymous.uid})"
        )

    def refusal(self, access: Access) -> str | None:
        """Why a strategy cannot work here, or None."""
        if self.agent.uid == 0:
            return "the agent would be root, which Claude Code refuses"
        if access == "squash" and self.local:
            return "squash is what an NFS server does, and these pods are a local file system"
        if access == "chown" and self.host.uid != 0:
            return f"chown needs a host process that is root, and this one is uid {self.host.uid}"
        if access == "native" and self.host.uid != self.agent.uid:
            return f"native needs a host process of the agent's uid {self.agent.uid}; this one is uid {self.host.uid}"
        if self.squash is not None:
            return self._refusal_by(self.squash, access)
        if access == "squash" and not self.managed:
            return "the role does not manage the server, and pods_export_options does not say what that one does"
        return None

    def _refusal_by(self, squash: Squash, access: Access) -> str | None:
        if squash.maps != "none" and squash.anonymous.uid == 0:
            return "anonuid=0 makes every client root on the server"
        if squash.maps != "none" and squash.anonymous.gid == 0:
            return "anongid=0 gives every client the group root on the server"
        if access == "squash" and squash.maps == "none":
            return "no_root_squash leaves ids as they are, so that the server gives no session to the agent"
        if access == "chown" and squash.seen(ROOT).uid != 0:
            kept = f"the server maps root ({ROOT}) to {squash.seen(ROOT)} ({squash.options()[0]})"
            return (
                f"{kept}, and only root may give files away (chown(2)): {CANNOT['guard chowns the tree to the agent']}"
            )
        return obstacle(expected_life(access, self.host, self.agent, squash))

    def ways(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """The smallest changes of settings with which this case is accepted and, by the model, works."""
        if self.agent.uid == 0:
            image: dict[str, Any] = {"nanoclaw_image_uid": 1000}
            other_agent = replace(self, agent=Ids(1000, self.agent.gid))
            works = other_agent.known and other_agent.accepts(wanted)
            yield from [image] if works else [{**image, **way} for way in other_agent.ways(wanted)]
            return
        automatic = {} if wanted == "auto" else {"pods_access": "auto"}
        other = next((access for access in _ACCESSES if self.known and self.refusal(access) is None), None)
        if other:
            yield {"pods_access": other}
        if self.local:
            if not other:
                # Only a host of uid 1000 whose image has another USER: with that uid it is the agent itself.
                yield {**automatic, "nanoclaw_uid": self.agent.uid}
            return
        squashes = self._squashes()
        fitting = next((squash for squash in squashes if replace(self, squash=squash).accepts(wanted)), squashes[0])
        options = {"pods_export_options": list(fitting.options()) if fitting else None}
        if replace(self, squash=fitting).accepts(wanted):
            yield options
        elif not other:
            yield {**automatic, **options}

    @property
    def known(self) -> bool:
        """Whether it is known what the server does: else a strategy may be chosen and found out not to work."""
        return self.managed or self.squash is not None

    def _squashes(self) -> tuple[Squash | None, ...]:
        if self.managed:
            return (None,)
        return Squash("all", anonymous(self.agent)), Squash("root", anonymous(self.agent)), Squash("none")

    def accepts(self, wanted: Wanted) -> bool:
        return any(self.refusal(access) is None for access in (_ACCESSES if wanted == "auto" else (wanted,)))


def _in_words(way: Mapping[str, Any], managed: bool) -> str:
    words = [f"leave {key} out" if new is None else f"set {key} to {new!r}" for key, new in way.items()]
    options = way.get("pods_export_options")
    if options and not managed:
        words.insert(0, f"let the server export with {','.join(options)}")
    return " and ".join(words)
