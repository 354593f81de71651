"""Let the machine roll an interrupted change of version back by itself when it starts again.

Writes a unit that runs the runner of the transition, and a drop-in with which NanoClaw's unit waits for it. The unit
does nothing while a switch is under way, nor where none was interrupted. Reply: {"changed": [paths…]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_command import run_command
from files.pods.transition.version_protocol import BootRollbackRequest

UNITS = "/etc/systemd/system"
DROP_IN = "60-nanoclaw-pods-transition.conf"


def main(request: BootRollbackRequest) -> dict[str, list[str]]:
    """Write what differs, and remove the marker of an earlier change of version."""
    with suppress(FileNotFoundError):
        os.unlink(request.marker)
    files = {f"{UNITS}/{request.name}": request.text, f"{UNITS}/{request.unit}.d/{DROP_IN}": request.drop_in}
    changed = [path for path, text in files.items() if read_untrusted_text(path) != text]
    for path in changed:
        replace(path, files[path].encode())
    run_command(["systemctl", "daemon-reload"], timeout=120, check=True)  # always: an earlier call may have missed it
    return {"changed": changed}


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(BootRollbackRequest))))
    except (OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
