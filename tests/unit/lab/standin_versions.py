"""An install that moves between versions of the stand-in, and what later versions need to start."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.unit.lab.standin_install import Install, git

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
