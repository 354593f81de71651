"""Installs pnpm for the whole machine, in the version and with the digest that a project's packageManager names.

Argument: {"version", "digest": "sha512.HEX", or null where the project names none, "force": whether something has
pnpm's name that npm did not install, such as corepack's, and which it replaces, "path": PATH with the host user's Node
first}. No script of the package runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile

DIGESTS = ("sha224", "sha256", "sha384", "sha512")
INSTALL = ("install", "--global", "--ignore-scripts", "--no-audit", "--no-fund")


def run_npm(*args: str) -> None:
    """Run npm; exit with its output if it fails."""
    done = subprocess.run(
        ["npm", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, cwd="/"
    )
    if done.returncode != 0:
        sys.exit(f"npm {' '.join(args)} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def check_digest(file: str, digest: str) -> None:
    """Ends the program where a file has another digest than the project names."""
    name, _, expected = digest.partition(".")
    if name not in DIGESTS:
        sys.exit(f"packageManager names a digest of {name}; one of {', '.join(DIGESTS)} is needed")
    with open(file, "rb") as content:
        found = hashlib.new(name, content.read()).hexdigest()
    if found != expected.lower():
        sys.exit(
            f"the pnpm that the registry gave has {name} {found}, and packageManager names {expected}; nothing was "
            "installed. See to the registry that npm's configuration names"
        )


def install_pnpm(version: str, digest: str | None, force: bool = False, path: str | None = None) -> None:
    """Installs pnpm; what has a digest is downloaded first, and only installed where that is right."""
    if path:
        os.environ["PATH"] = path
    install = (*INSTALL, "--force") if force else INSTALL
    if digest is None:
        run_npm(*install, f"pnpm@{version}")
        return
    with tempfile.TemporaryDirectory(prefix="nanoclaw-pods-pnpm-") as folder:
        run_npm("pack", "--ignore-scripts", "--silent", "--pack-destination", folder, f"pnpm@{version}")
        names = os.listdir(folder)
        if len(names) != 1:
            sys.exit(f"npm pack made {len(names)} files of pnpm@{version}, and one is expected")
        archive = os.path.join(folder, names[0])
        check_digest(archive, digest)
        run_npm(*install, archive)


if __name__ == "__main__":
    install_pnpm(**json.loads(sys.argv[1]))
