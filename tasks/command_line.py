"""The options of pyinfra's command line, and the directories that they name."""

import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import click
import pyinfra
from pyinfra.api.inventory import Inventory

ROLE = Path(__file__).resolve().parent.parent
"""The directory of deploy.py."""

_READING = ("dry", "debug_facts", "debug_operations")


@cache
def options() -> Mapping[str, Any]:
    """The options of this run by pyinfra's names; empty where pyinfra is used as a library.

    Click's own context is out of reach of deploy code, which runs in greenlets, so click parses the words again.
    """
    if not pyinfra.is_cli:
        return {}
    from pyinfra_cli.cli import cli  # not above: it has gevent patch whatever imports this module

    try:
        context: click.Context = cli.make_context("pyinfra", list(sys.argv[1:]), resilient_parsing=True)
    except click.ClickException:
        return {}
    return context.params


def only_reads() -> bool:
    """Whether this run ends before it changes anything."""
    return any(options().get(option) for option in _READING)


def fleet_directory() -> Path:
    """The directory of the inventory file, where a run writes its files; the working directory without such a file."""
    inventory = Path(options().get("inventory") or "")
    return (inventory.parent if inventory.is_file() else Path()).resolve()


def add_role_group_data(inventory: Inventory) -> None:
    """Add group_data of the role beneath that of the fleet: what the fleet states stays.

    pyinfra itself reads group_data of its working directory and of the inventory's directory only.
    """
    from pyinfra_cli.inventory import _get_group_data

    for group, data in _get_group_data(str(ROLE / "group_data")).items():
        if group == "all":
            inventory.data = {**data, **inventory.data}
        else:
            inventory.group_data[group] = {**data, **inventory.group_data.get(group, {})}


def limit_problems(inventory: Inventory, limit: Iterable[object] | None = None) -> list[str]:
    """Why the machines of this run are not those that the operator meant; pyinfra would end with status 0.

    + limit: the machines that are left of --limit and --exclude, or None without both
    """
    if not len(inventory):
        name = options().get("inventory")
        return [f"the inventory {name} has no machine: see inventory.py of the role for an example"]
    patterns = [(f"--{name}", pattern) for name in ("limit", "exclude") for pattern in options().get(name) or ()]
    problems = [_unmatched(option, pattern) for option, pattern in patterns if not _matches(inventory, pattern)]
    if not problems and limit is not None and not list(limit):
        problems = ["--limit and --exclude leave no machine"]
    return problems


def _matches(inventory: Inventory, pattern: str) -> bool:
    return pattern in inventory.groups or any(fnmatch(host.name, pattern) for host in inventory)


def _unmatched(option: str, pattern: str) -> str:
    names = [name.strip() for name in pattern.split(",") if name.strip()]
    if len(names) > 1:
        way_out = f"write {' '.join(f'{option} {name}' for name in names)}"
    else:
        way_out = "pyinfra inventory.py debug-inventory lists the machines and groups"
    return f"{option} {pattern} matches no machine and no group: {way_out}"
