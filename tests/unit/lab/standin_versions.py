"""An install that moves between versions of the stand-in, and what later versions need to start."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.lab.standin_install import Install, find_pnpm, git

At = Callable[[str], Install]

# The stand-in knows its Node by this number alone, so one Node may run as another.
STATE_NODE = "Object.defineProperty(process, 'versions', {{ value: {{ ...process.versions, node: '{version}' }} }});\n"


def moves() -> Iterator[At]:
    """For a fixture: an install at a tag; another tag moves it there, with its data."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        install = Install(base)

        def move(tag: str) -> Install:
            git("checkout", "--quiet", "--force", tag, cwd=install.root)
            shutil.rmtree(install.root / "node_modules", ignore_errors=True)
            install.build()
            return install

        yield move
        stop(install)


def stop(install: Install) -> None:
    if install.host is not None and install.host.poll() is None:
        install.host.terminate()
        install.host.wait(timeout=20)


def marked(install: Install, version: str = "") -> None:
    argv = ["node", "scripts/upgrade-state.js", "set", version, "nanoclaw-pods"]
    subprocess.run(argv, cwd=install.root, check=True, capture_output=True)


def as_node(install: Install, version: str) -> dict[str, str]:
    """The environment in which Node states another version of itself."""
    script = install.fake / f"node-{version}.cjs"
    script.write_text(STATE_NODE.format(version=version))
    return {"NODE_OPTIONS": f"--require={script}"}


def usable_pnpm(monkeypatch: pytest.MonkeyPatch) -> str:
    """For a fixture: a pnpm in PATH that asks nothing."""
    path = find_pnpm()
    if path is None:
        pytest.skip("neither pnpm nor an npm that gets it is on this machine")
    monkeypatch.setenv("PATH", f"{Path(path).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CI", "true")
    return path


def install_modules(install: Install, pnpm: str) -> None:
    shutil.rmtree(install.root / "node_modules")
    subprocess.run([pnpm, "install", "--frozen-lockfile"], cwd=install.root, check=True, capture_output=True)


def drive(install: Install, script: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the setup, as `pnpm exec tsx` does."""
    argv = ["packages/tsx/tsx.sh", script, *args]
    whole = os.environ | env
    return subprocess.run(argv, cwd=install.root, env=whole, capture_output=True, text=True, timeout=120, check=False)
