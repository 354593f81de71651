"""What the next build of a checkout would use, and what the last one used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from files.pods.source import checkout
from files.pods.source.checkout import build_state, compiles
from files.pods.source.git_worktree import STAMP

LOCK = "  better-sqlite3@11.10.0:\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root, on a machine with a PATH of its own."""
    (tmp_path / "root/.git").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "root"


def install(root: Path, *programs: str) -> None:
    for name in programs:
        (root.parent / "bin" / name).write_text("#!/bin/sh\n")
        (root.parent / "bin" / name).chmod(0o755)


def test_empty_checkout_has_no_source_and_no_outputs(root: Path) -> None:
    state = build_state(str(root), None, None)
    assert (state.pnpm_pin, state.pnpm_digest, state.pnpm, state.built) == (None, None, None, None)
    assert (state.tools_missing, state.outputs) == (False, False)
    assert state.source == {"commit": None, "lock": None, "package": None, "node": None}


def test_source_of_a_build_is_commit_lock_package_and_major_version_of_node(root: Path) -> None:
    package = json.dumps({"packageManager": "pnpm@10.33.0+sha512.ab"})
    (root / "package.json").write_text(package)
    (root / "pnpm-lock.yaml").write_text(LOCK)
    (root / STAMP).write_text('{"commit": "before"}')
    state = build_state(str(root), "c0ffee", "22.14.0")
    lock, about = (hashlib.sha256(text.encode()).hexdigest() for text in (LOCK, package))
    assert state.source == {"commit": "c0ffee", "lock": lock, "package": about, "node": "22"}
    assert (state.pnpm_pin, state.pnpm_digest) == ("10.33.0", "sha512.ab")
    assert state.built == {"commit": "before"}


@pytest.mark.parametrize(
    ("lock", "tools", "missing"),
    [
        (LOCK, (), True),
        (LOCK, ("g++",), True),
        (LOCK, ("make",), True),
        (LOCK, ("g++", "make"), False),
        ("  other@1.0.0:\n", (), False),
        (None, (), False),
    ],
)
def test_compiler_is_missing_only_where_a_module_may_need_it(
    root: Path, lock: str | None, tools: tuple[str, ...], missing: bool
) -> None:
    if lock is not None:
        (root / "pnpm-lock.yaml").write_text(lock)
    install(root, *tools)
    assert compiles(str(root)) is (lock == LOCK)
    assert build_state(str(root), None, None).tools_missing is missing


@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        ((), False),
        (("dist/index.js",), False),
        (("node_modules/x",), False),
        (("dist/index.js", "node_modules/x"), True),
    ],
)
def test_build_has_its_outputs_once_all_are_there(root: Path, names: tuple[str, ...], outputs: bool) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    assert build_state(str(root), None, None).outputs is outputs


def test_file_of_the_checkout_that_is_a_link_or_too_large_has_no_digest(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "MOST", 10)
    (root / "package.json").write_text("x" * 11)
    (root / "pnpm-lock.yaml").symlink_to("/etc/passwd")
    source = build_state(str(root), None, None).source
    assert (source["package"], source["lock"]) == (None, None)
    (root / "package.json").write_text("x" * 10)
    assert build_state(str(root), None, None).source["package"] == hashlib.sha256(b"x" * 10).hexdigest()
