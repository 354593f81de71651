"""Tells systemd how a service is (sd_notify(3)): for programs that import it. Nothing happens outside of a service."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(text: str) -> None:
    """Sends lines like READY=1 and STATUS=…; a manager that does not listen is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there:
        # A manager that is too busy to read is not waited for.
        there.sendto(text.encode(), socket.MSG_DONTWAIT, "\0" + address[1:] if address.startswith("@") else address)
