"""Programs that touch a network file system end in time, whatever its server does."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from files.pods.common.protocol import Request
from tasks.bundle import PODS
from tests.programs import program_argv
from tests.unit.common.test_protocol import REQUESTS

BOUNDED = sorted(
    ".".join(path.relative_to(PODS).with_suffix("").parts)
    for path in PODS.rglob("*.py")
    if re.search(r"^from files\.pods\.common\.run_as_host_user import .*\brun_with_deadline\b", path.read_text(), re.M)
)
"""Programs that state a deadline for themselves and all that they start."""
ENDS = '''    """Print the deadline, and exit."""
    print(seconds, path, flush=True)
    os._exit(7)
'''
INPUTS = {"service.set_env": "{}", "service.env_state": "00" * 32}
"""What a program reads before its deadline: no file can block it."""


def _ending(text: str) -> str:
    """Make `run_with_deadline` exit the program."""
    return re.sub(r"(?m)(^def run_with_deadline\(seconds: int, path: str\) -> None:\n)", rf"\1{ENDS}", text)


def filled(kind: Any, known: dict[str, Any]) -> Any:
    """A document of a dataclass, with something in each field that is needed."""
    hints = get_type_hints(kind)
    needed = [it for it in dataclasses.fields(kind) if it.default is it.default_factory is dataclasses.MISSING]
    return {it.name: known[it.name] if it.name in known else placeholder(hints[it.name]) for it in needed}


def placeholder(hint: Any) -> Any:
    """A value of a field's type."""
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return filled(hint, {})
    if origin is Union:
        return None if type(None) in args else placeholder(args[0])
    if origin is Literal:
        return args[0]
    if origin is tuple:
        return [placeholder(arg) for arg in args if arg is not ...]
    return {str: "/none", int: 0, bool: False, list: [], dict: {}}[origin or hint]


def test_there_are_programs_with_a_deadline() -> None:
    assert {"source.fetch", "source.build", "service.state", "transition.state"} <= set(BOUNDED)


@pytest.mark.parametrize("entry", BOUNDED)
def test_program_has_its_deadline_before_it_touches_the_project_root(entry: str, tmp_path: Path) -> None:
    """It exits where the deadline begins. The root is a place that nothing can be read of."""
    kind: type[Request] = next(it for it in REQUESTS if it.entry == entry)
    root = f"{tmp_path}/root"
    Path(root).symlink_to(root)
    request = filled(kind, {"root": root, "lock": f"{tmp_path}/lock", "mounts": [], "uid": os.getuid()})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").symlink_to("/bin/true")
    done = subprocess.run(
        program_argv(entry, request, _ending),
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        input=INPUTS.get(entry, ""),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 7, done.stderr
    seconds, path = done.stdout.split()
    assert path == root and 0 < int(seconds) < 3600, "pyinfra waits no longer than an hour"
