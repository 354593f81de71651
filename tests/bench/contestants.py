"""Who gives a tree to its owner, and by which command: ours, chown, pyinfra's own operation, Ansible's; and the limit.

Each is a command of the machine itself, or one of the controller that reaches it over ssh.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from files.pods.trees.protocol import TreeRequest, TreesRequest
from tests.lab.errors import LabError
from tests.lab.machine import Machine
from tests.lab.shell import environment
from tests.programs import machine_argv

AGENT = 1000
ACCOUNT = "bench"
"""The account of that uid on the machine: pyinfra and Ansible compare names."""

WHAT = {
    "find": "find TREE -xdev > /dev/null: the limit of everything that walks; it asks for no entry's owner",
    "find_owners": "find TREE -xdev ( ! -uid 1000 -o ! -gid 1000 ): the limit of everything that knows the owners",
    "ours": "the program own_trees as the role sends it; look: the fact; apply: the operation's command, which is sent "
    "only if the fact found something, with the names that it reports, if they are not too many; run: both. The fact "
    "is cold, the apply follows it and is warm",
    "served": "ours, run by the server on its own disk, which is what the role does where it manages the server",
    "chown": "chown -R 1000:1000 TREE",
    "pyinfra": "pyinfra INVENTORY files.directory path=TREE user=… group=… recursive=True -y, from the controller, "
    "with its start; where the tree's root is right already it sends nothing more, else chown -R",
    "ansible": "ansible -m file -a 'path=TREE state=directory recurse=yes owner=… group=…', from the controller, with "
    "its start",
}


def ours(tree: str, *, apply: bool, anchor: str | None, names: str | None = None) -> list[str]:
    """The role's program over one tree, with the arguments that a host's sessions have, and what a scan has named."""
    ids: dict[str, Any] = {"uid": AGENT, "gid": AGENT, "uids": [0, 65534], "gids": [0, AGENT, 65534]}
    request = TreesRequest(apply, [TreeRequest(tree, tree, anchor, anchor, names=names, **ids)])
    return machine_argv(request.entry, request.document())


def find(tree: str) -> list[str]:
    """A walk and nothing else. Its output goes nowhere, and not by way of a file."""
    return ["sh", "-c", 'exec find "$0" -xdev > /dev/null', tree]


def find_owners(tree: str) -> list[str]:
    """A walk that looks at owners."""
    return [
        "find",
        tree,
        "-xdev",
        "(",
        "!",
        "-uid",
        str(AGENT),
        "-o",
        "!",
        "-gid",
        str(AGENT),
        ")",
        "-fprint",
        "/dev/null",
    ]


def chown(tree: str) -> list[str]:
    """What most people type."""
    return ["chown", "-R", f"{AGENT}:{AGENT}", tree]


@dataclass(frozen=True)
class Controller:
    """pyinfra's and Ansible's command lines for one machine; `folder` holds their files for a while."""

    machine: Machine
    folder: Path

    @property
    def _keys(self) -> tuple[Path, Path]:
        return self.machine.connection.keys.private, self.machine.connection.keys.known_hosts

    def pyinfra(self, tree: str) -> list[str]:
        """pyinfra's own operation, run by itself."""
        key, known = self._keys
        data = {"ssh_hostname": self.machine.address, "ssh_user": "root", "ssh_key": str(key)}
        inventory = self.folder / "inventory.py"
        inventory.write_text(f"hosts = [('machine', {data | {'ssh_known_hosts_file': str(known)}!r})]\n")
        args = [f"path={tree}", f"user={ACCOUNT}", f"group={ACCOUNT}", "recursive=True"]
        return [str(Path(sys.executable).parent / "pyinfra"), str(inventory), "files.directory", *args, "-y"]

    def install_ansible(self) -> str:
        """Installs ansible-core from the package index that pip is set to, for a while; returns its version."""
        target = self.folder / "ansible"
        try:
            venv.create(target, with_pip=True)
            pip = [str(target / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "ansible-core"]
            subprocess.run(pip, check=True, capture_output=True, text=True, timeout=300)
            output = subprocess.run(
                [str(target / "bin" / "ansible"), "--version"], check=True, capture_output=True, text=True, timeout=60
            )
        except subprocess.CalledProcessError as error:
            raise LabError(f"ansible-core could not be installed: {(error.stderr or '').strip()[-500:]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LabError(f"ansible-core could not be installed: {error}") from error
        return output.stdout.splitlines()[0]

    def ansible(self, tree: str) -> list[str]:
        """Ansible's module over ssh, with its defaults."""
        key, known = self._keys
        options = f"-F none -o UserKnownHostsFile={known} -o StrictHostKeyChecking=accept-new"
        args = f"path={tree} state=directory recurse=yes owner={ACCOUNT} group={ACCOUNT}"
        return [
            str(self.folder / "ansible" / "bin" / "ansible"),
            *("all", "-i", f"{self.machine.address},", "-u", "root", "--private-key", str(key)),
            *("--ssh-common-args", options, "-e", "ansible_python_interpreter=/usr/bin/python3"),
            *("-m", "ansible.builtin.file", "-a", args),
        ]

    def environment(self) -> Mapping[str, str]:
        """What they are run with: nothing of theirs is left in the home directory."""
        return environment(ANSIBLE_HOME=str(self.folder / ".ansible"), ANSIBLE_NOCOLOR="1")
