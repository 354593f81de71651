"""Names of systemd's units, and where their files lie. systemd.unit(5)."""

import string

UNITS = "/etc/systemd/system"
UNIT_NAME_MAX = 255
"""Characters, the suffix included: systemd.unit(5)."""

_PLAIN = frozenset((string.ascii_letters + string.digits + ":_.").encode())


def unit_name(path: str) -> str:
    """The name of the mount unit for a path, as `systemd-escape --path --suffix=mount` prints it."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-.mount"
    joined = "/".join(parts).encode()
    escaped = "".join(
        "-" if byte == ord("/") else chr(byte) if byte in _PLAIN and (index or byte != ord(".")) else f"\\x{byte:02x}"
        for index, byte in enumerate(joined)
    )
    return f"{escaped}.mount"
