"""Which of the named Debian packages are installed.

Answer: {"installed": {name: version}}.
"""

from __future__ import annotations

import json
import subprocess

from files.pods.common.protocol import read_request
from files.pods.machine.protocol import PackagesRequest

names = read_request(PackagesRequest).packages
asked = subprocess.run(
    ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Version}\\n", *names],
    capture_output=True,
    text=True,
    timeout=60,
)
rows = [line.split() for line in asked.stdout.splitlines()]
print(json.dumps({"installed": {row[1]: row[2] for row in rows if row[0] == "installed"}}))
