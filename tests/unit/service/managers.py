"""A machine of name spaces with systemd's own managers on it, the system's and users'.

Nothing of the machine that runs the tests is seen by it but /usr and this checkout, and nothing is left of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = "/usr/bin/python3"
SYSTEMD = "/lib/systemd/systemd"
NODE = "/opt/bin/node"
"""What runs dist/index.js here: Python, under that name."""
SERVES = "import time\nopen(0)\ntime.sleep(1000)\n"
"""A dist/index.js that stays up."""

needs_managers = pytest.mark.skipif(
    os.getuid() != 0 or not Path(SYSTEMD).exists() or shutil.which("unshare") is None,
    reason="needs root, systemd and unshare(1)",
)


@dataclass
class Managed:
    """The contents of the machine, and code to run on it."""

    files: dict[str, str] = field(default_factory=dict)
    """Text by path, in /etc/systemd, /home, /opt, /root, /srv or /usr/local/lib."""
    owners: dict[str, int] = field(default_factory=dict)
    """Uid by path: of it and of all below it; the last that fits counts."""
    links: dict[str, str] = field(default_factory=dict)
    users: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Uid and home by name, as NSS enumerates them."""
    running: tuple[int, ...] = ()
    """Users with a running manager."""
    lingering: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    """Shell commands to run first."""

    def ask(self, code: str, folder: Path, seconds: int = 60) -> Any:
        """Run Python code there; return its variable `answer`."""
        request, output = folder / "machine.json", folder / "said.json"
        described = {name: getattr(self, name) for name in self.__dataclass_fields__}
        request.write_text(json.dumps({**described, "code": code, "said": str(output), "repository": str(REPOSITORY)}))
        apart = ["unshare", "-m", "-p", "-f", "-n", "-u", "-i", "--kill-child", "--mount-proc"]
        with subprocess.Popen(
            [*apart, PYTHON, str(Path(__file__).with_name("managers_inside.py")), str(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as machine:
            try:
                out = machine.communicate(timeout=seconds)[0]
            finally:
                machine.kill()
        assert output.exists(), out
        reply = json.loads(output.read_text())
        assert "error" not in reply, reply["error"]
        return reply["value"]
