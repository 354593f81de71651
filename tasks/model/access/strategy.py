"""The access strategies: how the agent becomes the owner of sessions, and what a host does for it.

What cannot work is not listed here: tasks.model.access.session_lifecycle says what the kernel allows, action by action.
tasks.model.access.choose_strategy chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.model.access.identity import ROOT, Ids, Squash
from tasks.model.access.outcome import Answer
from tasks.model.access.session_lifecycle import ACTIONS, Action, Case, live
from tasks.model.access.storage import Node, Storage

StrategyName = Literal["squash", "chown", "native"]


@dataclass(frozen=True)
class Strategy:
    """How the agent becomes the owner of the sessions of a host."""

    name: StrategyName
    reason: str = ""
    """The sentence that says why this one."""

    @property
    def needs_guard(self) -> bool:
        """Whether new sessions are root's at first, so that the guard on the host chowns them."""
        return self.name == "chown"

    @property
    def server_sets_owner(self) -> bool:
        """Whether the server alone decides who owns an entry: no chown(2) of a host changes it."""
        return self.name == "squash"

    def tree_owner(self, agent: Ids) -> Ids:
        """Return the owner of the directories that sessions and groups are created in.

        + agent: the ids that the agent's files have where they are stored
        """
        return ROOT if self.needs_guard else agent


def squash_for(name: StrategyName, agent: Ids) -> Squash:
    """Return the squash that the role exports with, for a strategy.

    `native` maps root alone, to the agent: dockerd is root and makes mount points in session directories.
    """
    if name == "squash":
        return Squash("all", anonymous(agent))
    if name == "native":
        return Squash("root", anonymous(agent))
    return Squash("none")


def anonymous(agent: Ids) -> Ids:
    """The ids that stand for an agent on a server: never the group root, which some images have."""
    return agent if agent.gid != 0 else Ids(agent.uid, agent.uid)


NEEDED = tuple(action for action in ACTIONS if " chowns " not in action)
"""What must be allowed, whatever the strategy, for messages to be answered."""

CANNOT: Mapping[Action, str] = {
    "host creates the session directory": "the host process cannot make a session",
    "host creates and writes inbound.db": "the host process cannot make inbound.db",
    "host creates outbound.db": "the host process cannot make outbound.db",
    "host chowns the tree to the agent": "the host process cannot chown sessions to the agent",
    "guard chowns the tree to the agent": "the guard cannot chown sessions to the agent",
    "server chowns the tree to the agent": "the server cannot chown sessions to the agent",
    "dockerd makes the mount points": "dockerd cannot make /workspace/agent, and no container starts",
    "agent reads inbound.db": "the agent cannot read its messages",
    "agent writes outbound.db": "the agent's container exits with code 1: attempt to write a readonly database",
    "agent touches .heartbeat": "the host process takes the agent for stuck and stops it",
    "agent writes into the group directory": "the agent cannot keep its memory",
    "agent writes into .claude-shared": "Claude Code cannot keep its sessions, and messages end without an answer",
    "host cleans claims in outbound.db": "the host process cannot clean up after an agent that died",
    "host writes inbound.db again": "the host process cannot add a message to a session",
    "host deletes .heartbeat": "the host process cannot remove the heartbeat of an agent that ended",
}
"""The effect that an operator notices where an action is denied."""


def expected_life(name: StrategyName, host: Ids, agent: Ids, squash: Squash | None) -> dict[Action, Answer]:
    """Predict the life of a new session under a strategy, in the role's own tree. `squash`: None on a local disk."""
    kept = agent if squash is None else squash.map_ids(agent)
    strategy = Strategy(name)
    tree = Node(strategy.tree_owner(kept), 0o755)
    storage = Storage("local" if squash is None else "nfs4", squash)
    return live(Case(host, agent, storage, tree, chown_by="guard" if strategy.needs_guard else "nobody"))


def obstacle(life: Mapping[Action, Answer]) -> str | None:
    """Return the first needed action that is denied, with the rule and its effect; None where all are allowed."""
    for action in NEEDED:
        if life[action].outcome != "allowed":
            return f"{life[action].reason}: {CANNOT[action]}"
    return None
