"""Installs pnpm for the whole machine, in the version and with the digest that a project's packageManager names.

No script of the package runs.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile

from files.pods.common.protocol import read_request
from files.pods.common.run_command import run_command
from files.pods.machine.protocol import InstallPnpmRequest

DIGESTS = ("sha224", "sha256", "sha384", "sha512")
INSTALL = ("install", "--global", "--ignore-scripts", "--no-audit", "--no-fund")


def run_npm(*args: str) -> None:
    """Run npm; exit with its output if it fails."""
    done = run_command(["npm", *args], timeout=600, cwd="/")
    if done.returncode != 0:
        sys.exit(f"npm {' '.join(args)} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def check_digest(file: str, digest: str) -> None:
    """Exit if a file has another digest than the project names."""
    name, _, expected = digest.partition(".")
    if name not in DIGESTS:
        sys.exit(f"packageManager names a digest of {name}; one of {', '.join(DIGESTS)} is needed")
    with open(file, "rb") as content:
        actual = hashlib.new(name, content.read()).hexdigest()
    if actual != expected.lower():
        sys.exit(
            f"the pnpm that the registry gave has {name} {actual}, and packageManager names {expected}; nothing was "
            "installed. Check the registry (npm config get registry), then run again"
        )


def install_pnpm(request: InstallPnpmRequest) -> None:
    """Install pnpm. With a digest, download it first, and install it only if the digest matches."""
    if request.path:
        os.environ["PATH"] = request.path
    package = f"pnpm@{request.version}"
    install = (*INSTALL, "--force") if request.force else INSTALL
    if request.digest is None:
        run_npm(*install, package)
        return
    with tempfile.TemporaryDirectory(prefix="nanoclaw-pods-pnpm-") as folder:
        run_npm("pack", "--ignore-scripts", "--silent", "--pack-destination", folder, package)
        names = os.listdir(folder)
        if len(names) != 1:
            sys.exit(f"npm pack made {len(names)} files of {package}, and one is expected")
        archive = os.path.join(folder, names[0])
        check_digest(archive, request.digest)
        run_npm(*install, archive)


if __name__ == "__main__":
    install_pnpm(read_request(InstallPnpmRequest))
