"""What a program opens by number it closes, and what it renames into place is on the disk."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.project.test_conformance import PROGRAMS, named, tree

OPENS = {
    "os.open",
    "os.dup",
    "os.memfd_create",
    "os.pipe",
    "open_directory",
    "open_regular",
    "open_tree",
    "directory_below",
}
KEEPS = {
    ("files/pods/common/run_lock.py", "acquire"): "the lock lasts as long as the program and its children",
    ("files/pods/nfs/observe_export.py", "stale"): "its process ends after one observation",
    ("files/pods/service/set_env.py", "main"): "the program ends",
    ("files/pods/v1/confine.py", "confine"): "all numbers from 3 on are closed at once",
}


def functions(module: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))


def holds(node: ast.AST | None, name: str) -> bool:
    return node is not None and any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def opened(function: ast.FunctionDef) -> set[str]:
    """The variables of a function that hold what it opened."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in OPENS:
            target = node.targets[0]
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            names |= {part.id for part in parts if isinstance(part, ast.Name)}
    return names


def ends(function: ast.FunctionDef, name: str) -> bool:
    """Whether a function closes what a variable holds, or gives it to who does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.close", "open", "os.fdopen") and node.args:
            if holds(node.args[0], name):
                return True
        elif isinstance(node, ast.Return | ast.Yield) and holds(node.value, name):
            return True
        elif isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call) and holds(node.value, name):
            return True  # it is another variable's now, or an object's
    return False


def left_open(function: ast.FunctionDef) -> list[str]:
    return sorted(name for name in opened(function) if not ends(function, name))


def unsynced(function: ast.FunctionDef) -> bool:
    """Whether a function renames a file that it wrote, which a crash may then leave empty."""
    called = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    opens = [node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == "open"]
    writes = any("w" in ast.unparse(call.args[1]) for call in opens if len(call.args) > 1)
    flushed = {"os.fsync", "file.flush"} if "file.write" in called or "json.dump" in called else {"os.fsync"}
    return "os.rename" in called and writes and not flushed <= called


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_what_is_opened_is_closed(path: Path) -> None:
    """Write os.close in a finally; or name the function in KEEPS, with why nothing piles up."""
    kept = {where for where in KEEPS if where[0] == named(path)}
    assert {(named(path), function.name) for function in functions(tree(path)) if left_open(function)} == kept


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_a_file_is_on_the_disk_before_it_has_its_name(path: Path) -> None:
    """Call file.flush() and os.fsync(file.fileno()) before os.rename, or use common/atomic_write.py."""
    assert not [function.name for function in functions(tree(path)) if unsynced(function)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("fd = os.open(path, flags)", ["fd"]),
        ("reader, writer = os.pipe()\n os.close(reader)", ["writer"]),
        ("fd = open_directory(path)\n os.close(fd)", []),
        ("fd = os.dup(0)\n return fd", []),
        ("fd = os.dup(0)\n self.fd = fd", []),
        ("fd = os.open(path, flags)\n with open(fd) as file: file.read()", []),
        ("fd = os.open(path, flags)\n os.fstat(fd)", ["fd"]),
    ],
)
def test_rule_finds_what_stays_open(body: str, expected: list[str]) -> None:
    (function,) = functions(ast.parse(f"def work(path):\n {body}"))
    assert left_open(function) == expected


WRITES = "with open(new, 'wb') as file:\n  file.write(b'')\n  "


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WRITES + "file.flush()\n  os.fsync(file.fileno())\n os.rename(new, path)", False),
        (WRITES + "os.fsync(file.fileno())\n os.rename(new, path)", True),
        (WRITES + "file.flush()\n os.rename(new, path)", True),
        (WRITES + "file.flush()", False),
    ],
)
def test_rule_finds_what_is_renamed_too_early(body: str, expected: bool) -> None:
    (function,) = functions(ast.parse(f"def work(path):\n {body}"))
    assert unsynced(function) is expected
