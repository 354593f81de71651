"""What is written from the model: tables in docs/ and group_data/all.py. `make docs` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from tasks.model.access.choose_strategy import AccessError, choose
from tasks.model.access.identity import ROOT, Ids, Squash, agent_of
from tasks.model.access.strategy import StrategyName
from tasks.model.fleet.settings import SETTINGS

PROJECT = Path(__file__).resolve().parent.parent
README = PROJECT / "README.md"
PAGES = sorted((PROJECT / "docs").glob("*.md"))
SETTINGS_PAGE = PROJECT / "docs" / "settings.md"
STRATEGIES_PAGE = PROJECT / "docs" / "strategies.md"
GROUP_DATA = PROJECT / "group_data" / "all.py"

GROUPS = {
    "nfs_": "The NFS server: machines of nfs_servers",
    "pods_": "The pods: what a machine of nanoclaw_hosts mounts, and how sessions come to belong to the agent",
    "nanoclaw_": "NanoClaw: machines of nanoclaw_hosts",
}

_GROUP_DATA_HEAD = '''\
"""Every setting of the role, with its default. It is the reference, and it holds for every machine.

What is different in a fleet stands elsewhere: for one machine in inventory.py, for all of a group in
group_data/nfs_servers.py or group_data/nanoclaw_hosts.py. `make docs` writes this file from
tasks/model/fleet/settings.py.
"""
'''

_HOSTS = {"root": ROOT, "uid 1000": Ids(1000, 1000), "uid 1500": Ids(1500, 1500)}
_IMAGE_USER = Ids(1000, 1000)


def default_of(name: str) -> Any:
    return SETTINGS[name].model_fields[name].get_default(call_default_factory=True)


def description_of(name: str) -> str:
    return str(SETTINGS[name].model_fields[name].description)


def names_of(prefix: str) -> list[str]:
    return [name for name in SETTINGS if name.startswith(prefix)]


def group_data() -> str:
    """The text of group_data/all.py."""
    parts = [_GROUP_DATA_HEAD]
    for prefix, title in GROUPS.items():
        parts.append(f"\n# --- {title} ---\n")
        for name in names_of(prefix):
            default = default_of(name)
            parts.append(f"\n# {description_of(name)}\n{name}{_type(default)} = {_literal(default)}\n")
    return "".join(parts)


def _type(default: Any) -> str:
    """The annotation that an empty default needs."""
    return {"[]": ": list[str]", "{}": ": dict[str, str]"}.get(repr(default), "")


def _literal(default: Any) -> str:
    return repr(default).replace("'", '"')


def settings_table() -> str:
    """The tables of settings, one for each group."""
    parts = []
    for prefix, title in GROUPS.items():
        parts.append(f"**{title}**\n\n| setting | default | what it is |\n| --- | --- | --- |\n")
        for name in names_of(prefix):
            text = description_of(name).replace("|", "\\|")
            parts.append(f"| `{name}` | `{_literal(default_of(name))}` | {text} |\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def decision_table() -> str:
    """What comes of each export for each kind of host process: the strategies that work, or what goes wrong first."""
    lines = [f"| the server exports with | host process {' | host process '.join(_HOSTS)} |", "| --- " * 4 + "|"]
    agents = {name: agent_of(host, _IMAGE_USER) for name, host in _HOSTS.items()}
    for title in _exports(_IMAGE_USER):
        cells = [_decision(host, _exports(agents[name])[title]) for name, host in _HOSTS.items()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _exports(agent: Ids) -> dict[str, Squash]:
    return {
        "`no_root_squash`": Squash("none"),
        "`root_squash`": Squash("root"),
        "`root_squash`, anon: the agent": Squash("root", agent),
        "`all_squash`": Squash("all"),
        "`all_squash`, anon: the agent": Squash("all", agent),
        "`all_squash`, anon: another uid": Squash("all", Ids(2000, 2000)),
    }


def _decision(host: Ids, squash: Squash) -> str:
    works = []
    refused = ""
    for access in get_args(StrategyName):
        try:
            choose(access, host, agent_of(host, _IMAGE_USER), managed=False, squash=squash)
            works.append(f"`{access}`")
        except AccessError:
            continue
    if not works:
        try:
            choose("auto", host, agent_of(host, _IMAGE_USER), managed=False, squash=squash)
        except AccessError as error:
            refused = error.reason.rpartition(": ")[2]
    return ", ".join(works) or refused


_BLOCKS = {SETTINGS_PAGE: ("settings", settings_table), STRATEGIES_PAGE: ("decisions", decision_table)}
"""The pages with a generated table, the name of its place there, and its text."""

GENERATED = tuple(_BLOCKS)


def page(path: Path) -> str:
    """Return the text of a page with its table as it should be."""
    name, table = _BLOCKS[path]
    begin, end = f"<!-- {name}: written by make docs -->", f"<!-- /{name} -->"
    text = path.read_text(encoding="utf-8")
    head, begins, rest = text.partition(f"{begin}\n")
    _old, ends, tail = rest.partition(end)
    if not begins or not ends or begin in rest or end in tail:
        raise ValueError(f"{path.name} must hold {begin} and {end} once")
    return f"{head}{begin}\n\n{table()}\n{end}{tail}"


def main() -> None:
    GROUP_DATA.parent.mkdir(exist_ok=True)
    for path, text in ((GROUP_DATA, group_data()), *((path, page(path)) for path in GENERATED)):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
