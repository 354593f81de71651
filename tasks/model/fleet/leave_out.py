"""How the rest of a run can go on without the hosts that were refused."""

import shlex
from collections.abc import Collection, Iterable
from glob import escape

from tasks.model.fleet.plan import Problem

NAMED = 20
"""Hosts that the advice names; of more the operator makes a group."""


def refused_hosts(problems: Iterable[Problem], hosts: Collection[str]) -> frozenset[str]:
    """Return the hosts that the problems are of; none where one is of another machine.

    + hosts: the hosts of this run
    """
    names = frozenset(problem.machine for problem in problems)
    return names if names <= set(hosts) else frozenset()


def advice(names: Collection[str]) -> str:
    """How to run without these hosts: pyinfra takes one name, pattern or group for each --exclude."""
    if len(names) > NAMED:
        return f"to go on without these {len(names)} hosts, make a group of them and add --exclude GROUP"
    options = " ".join(f"--exclude {shlex.quote(escape(name))}" for name in sorted(names))
    return f"to go on without {'these hosts' if len(names) > 1 else 'this host'}, add {options}"
