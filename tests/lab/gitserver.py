"""Put the repository of the stand-in NanoClaw on the machine that serves it over git://.

It is sent to the running machine and is not part of the image: a change of the stand-in costs a second, not a new
image.
"""

from __future__ import annotations

import base64
import io
import tarfile
import tempfile
from pathlib import Path

from tests.lab import standin
from tests.lab.machine import Machine
from tests.lab.shell import say

REPOSITORY = "/srv/git/nanoclaw.git"
DIGEST = "/srv/git/nanoclaw.digest"

REPLACE = f"""
set -e
rm -rf {REPOSITORY}.new
mkdir {REPOSITORY}.new
base64 -d | tar -x -z -C {REPOSITORY}.new
chown -R gitdaemon:gitdaemon {REPOSITORY}.new
rm -rf {REPOSITORY}
mv {REPOSITORY}.new {REPOSITORY}
"""


def serve_standin(machine: Machine) -> None:
    """Update the machine's repository to the stand-in of this checkout, if it differs."""
    digest = standin.digest()
    if machine.run(f"cat {DIGEST}", check=False).stdout.strip() == digest:
        return
    with tempfile.TemporaryDirectory() as work:
        repository = Path(work) / "nanoclaw.git"
        standin.make_repository(repository)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(repository, arcname=".")
    machine.run(REPLACE, input=base64.b64encode(packed.getvalue()).decode())
    machine.put(DIGEST, digest + "\n")
    say(f"  {machine.name} serves git://{machine.address}/nanoclaw.git")
