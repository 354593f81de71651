"""Which of the named Debian packages are installed."""

from __future__ import annotations

from files.pods.common.protocol import print_reply, read_request
from files.pods.common.run_command import run_command
from files.pods.machine.protocol import PackagesReply, PackagesRequest

names = read_request(PackagesRequest).packages
listed = run_command(
    ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Version}\\n", *names], timeout=60
)
rows = [line.split() for line in listed.stdout.splitlines()]
print_reply(PackagesReply({row[1]: row[2] for row in rows if row[0] == "installed"}))
