"""Status messages to systemd (sd_notify(3)). Outside of a service they do nothing."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(text: str) -> None:
    """Send lines such as READY=1 and STATUS=…; ignore a manager that does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        # A manager that is too busy to read is not waited for.
        client.sendto(text.encode(), socket.MSG_DONTWAIT, "\0" + address[1:] if address.startswith("@") else address)
