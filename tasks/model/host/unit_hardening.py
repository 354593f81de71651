"""What the host process may not do, and how its logs are opened. Sources: systemd.exec(5), open(2)."""

from __future__ import annotations

LOGGED = (
    "import os, sys; "
    "d = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW); "
    "f = [os.open(n, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644, dir_fd=d) "
    "for n in sys.argv[2:4]]; "
    "[os.dup2(n, 1 + i) for i, n in enumerate(f)]; "
    "os.execv(sys.argv[4], sys.argv[4:])"
)
"""Runs a command that writes its logs, opened as the unit's user and through no link: systemd's own append: opens them
as root, and follows links (systemd.exec(5)); whoever can write in logs/ would choose what root writes to."""

HARDENING = """\
# Where the host process is not root. Not there, each for a reason: MemoryDenyWriteExecute= (Node compiles as it runs),
# PrivateTmp= (containers get files of /tmp from it), ProtectSystem=, ProtectHome= and all else that gives it mounts of
# its own (a remount of the pods would not reach it), PrivateNetwork=, IPAddressDeny= (it talks to chats),
# RestrictSUIDSGID= (copies of set-group-id directories), DevicePolicy= (file modes decide, it is not root).
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service"""


def logged(command: str, files: tuple[str, str]) -> list[str]:
    """The lines of a drop-in that have a command write its output, and its errors, to these files of one directory."""
    folder, names = files[0].rpartition("/")[0], " ".join(path.rpartition("/")[2] for path in files)
    return [
        "# The same command; its logs are opened without following a link, and not by root where it is not root's.",
        "ExecStart=",
        f"ExecStart=/usr/bin/python3 -I -c '{LOGGED}' {folder} {names} {command}",
        "StandardOutput=journal",
        "StandardError=journal",
    ]
