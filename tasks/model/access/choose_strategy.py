"""Choose the access strategy of a host, and name the ways out of a refusal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from tasks.model.access.identity import ROOT, Ids, Squash
from tasks.model.access.strategy import CANNOT, Strategy, StrategyName, anonymous, expected_life, obstacle

StrategySetting = Literal["auto", "squash", "chown", "native"]
"""The setting pods_access."""

_PREFERRED: tuple[StrategyName, ...] = ("squash", "native", "chown")
"""In the order in which `auto` prefers them."""


class Refusal(NamedTuple):
    """Why a strategy cannot work: a code that no other refusal of host data has, and the text for operators."""

    code: str
    text: str


class AccessError(ValueError):
    """A combination that cannot work. Its text names the reason and the ways out.

    `code` is that of its refusal, or no-strategy for several.
    Each of `ways` is a change of settings (None: the default) with which the combination is accepted.
    """

    def __init__(self, code: str, reason: str, ways: list[dict[str, Any]], *, managed: bool) -> None:
        self.code, self.reason, self.ways = code, reason, ways
        super().__init__(f"{reason}; {', or '.join(_way_text(way, managed) for way in ways)}")


def choose(
    setting: StrategySetting, host: Ids, agent: Ids, *, managed: bool, squash: Squash | None, local: bool = False
) -> Strategy:
    """Return the strategy for a host, or raise AccessError.

    + setting: the setting pods_access
    + managed: whether the role writes the export
    + squash: what the server does, where it is known
    + local: whether the pods are a local file system; then `squash` is `Squash("none")`
    """
    case = _Case(host, agent, managed, squash, local)
    if setting == "auto":
        return case.automatic()
    reason = case.refusal(setting)
    if reason is not None:
        raise AccessError(*reason, list(case.ways(setting)), managed=managed)
    return Strategy(setting, f"pods_access says {setting}")


@dataclass(frozen=True)
class _Case:
    host: Ids
    agent: Ids
    managed: bool
    squash: Squash | None
    local: bool

    def automatic(self) -> Strategy:
        reasons: list[Refusal] = []
        for name in _PREFERRED:
            reason = self.refusal(name)
            if reason is None:
                return Strategy(name, self._why(name))
            reasons.append(reason)
        if self.squash and self.squash.maps != "none":
            reasons = reasons[:1]  # What the server does is the cause; the rest only repeats it.
        texts = list(dict.fromkeys(reason.text for reason in reasons))
        code = reasons[0].code if len(texts) == 1 else "no-strategy"
        raise AccessError(code, "; ".join(texts), list(self.ways("auto")), managed=self.managed)

    def _why(self, name: StrategyName) -> str:
        if name == "native":
            return f"the host process has the agent's uid ({self.agent.uid})"
        if name == "chown":
            return f"the host process is root, and the guard chowns new sessions to the agent ({self.agent})"
        if self.squash is None:
            return "the role manages the server, which can squash all users to the agent"
        uid = self.squash.anonymous.uid
        return f"entries of the host process, of root and of the agent have one uid on the server ({uid})"

    def refusal(self, name: StrategyName) -> Refusal | None:
        """Return why a strategy cannot work here, or None."""
        if self.agent.uid == 0:
            return Refusal("agent-is-root", "the agent would be root, which Claude Code refuses")
        if name == "squash" and self.local:
            text = "only an NFS server can squash, and these pods are a local file system"
            return Refusal("squash-on-local-disk", text)
        if name == "chown" and self.host.uid != 0:
            text = f"chown needs a host process that is root, and this one is uid {self.host.uid}"
            return Refusal("chown-needs-root", text)
        if name == "native" and self.host.uid != self.agent.uid:
            text = f"native needs a host process of the agent's uid {self.agent.uid}; this one is uid {self.host.uid}"
            return Refusal("native-needs-agent-uid", text)
        if self.squash is not None:
            return self._refusal_by(self.squash, name)
        if name == "squash" and not self.managed:
            text = (
                "the role does not manage the server, and pods_export_options does not state how that server squashes"
            )
            return Refusal("squash-not-known", text)
        return None

    def _refusal_by(self, squash: Squash, name: StrategyName) -> Refusal | None:
        if squash.maps != "none" and squash.anonymous.uid == 0:
            return Refusal("anonuid-root", "anonuid=0 makes every client root on the server")
        if squash.maps != "none" and squash.anonymous.gid == 0:
            return Refusal("anongid-root", "anongid=0 gives every client the group root on the server")
        if name == "squash" and squash.maps == "none":
            text = (
                "no_root_squash leaves ids as they are, so the server does not make the agent the owner of new sessions"
            )
            return Refusal("server-does-not-squash", text)
        if name == "chown" and squash.map_ids(ROOT).uid != 0:
            mapped = f"the server maps root ({ROOT}) to {squash.map_ids(ROOT)} ({squash.options()[0]})"
            rule = "only root may chown files to another user (chown(2))"
            return Refusal("root-is-squashed", f"{mapped}, and {rule}: {CANNOT['guard chowns the tree to the agent']}")
        text_of_obstacle = obstacle(expected_life(name, self.host, self.agent, squash))
        return Refusal("session-denied", text_of_obstacle) if text_of_obstacle else None

    def ways(self, setting: StrategySetting) -> Iterator[dict[str, Any]]:
        """Yield the smallest changes of settings with which this case is accepted and, by the model, works."""
        if self.agent.uid == 0:
            image: dict[str, Any] = {"nanoclaw_image_uid": 1000}
            other_agent = replace(self, agent=Ids(1000, self.agent.gid))
            works = other_agent.known and other_agent.accepts(setting)
            yield from [image] if works else [{**image, **way} for way in other_agent.ways(setting)]
            return
        automatic = {} if setting == "auto" else {"pods_access": "auto"}
        other = next((name for name in _PREFERRED if self.known and self.refusal(name) is None), None)
        if other:
            yield {"pods_access": other}
        if self.local:
            if not other:
                # Only a host of uid 1000 with another USER in its image: with that uid it is the agent itself.
                yield {**automatic, "nanoclaw_uid": self.agent.uid}
            return
        squashes = self._squashes()
        fitting = next((squash for squash in squashes if replace(self, squash=squash).accepts(setting)), squashes[0])
        options = {"pods_export_options": list(fitting.options()) if fitting else None}
        if replace(self, squash=fitting).accepts(setting):
            yield options
        elif not other:
            yield {**automatic, **options}

    @property
    def known(self) -> bool:
        """Whether it is known what the server does: else a chosen strategy may turn out not to work."""
        return self.managed or self.squash is not None

    def _squashes(self) -> tuple[Squash | None, ...]:
        if self.managed:
            return (None,)
        return Squash("all", anonymous(self.agent)), Squash("root", anonymous(self.agent)), Squash("none")

    def accepts(self, setting: StrategySetting) -> bool:
        return any(self.refusal(name) is None for name in (_PREFERRED if setting == "auto" else (setting,)))


def _way_text(way: Mapping[str, Any], managed: bool) -> str:
    changes = [f"leave {key} out" if new is None else f"set {key} to {new!r}" for key, new in way.items()]
    options = way.get("pods_export_options")
    if options and not managed:
        changes.insert(0, f"let the server export with {','.join(options)}")
    return " and ".join(changes)
