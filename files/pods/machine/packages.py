"""Which of the named Debian packages are installed.

Argument: {"packages": [name…]}. Answer: {"installed": {name: version}}.
"""

from __future__ import annotations

import json
import subprocess
import sys

names = json.loads(sys.argv[1])["packages"]
asked = subprocess.run(
    ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Version}\\n", *names],
    capture_output=True,
    text=True,
    timeout=60,
)
rows = [line.split() for line in asked.stdout.splitlines()]
print(json.dumps({"installed": {row[1]: row[2] for row in rows if row[0] == "installed"}}))
