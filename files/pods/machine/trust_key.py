"""Installs a downloaded OpenPGP key for apt, if it has the expected fingerprint.

The file may hold that one primary key with its subkeys and nothing else (RFC 9580, 4 and 5.5): another key in it would
be trusted as well. Any other key is removed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import sys
from typing import Iterator  # noqa: UP035  Python 3.9

from files.pods.common.protocol import read_request
from files.pods.machine.protocol import TrustKeyRequest

LONGEST = 1 << 20
PUBLIC_KEY, KEPT = 6, frozenset({2, 12, 13, 14, 17})
"""The packet of a primary key; and those of signatures, trust, user ids, subkeys and attributes."""


def binary_key(data: bytes) -> bytes:
    """Return the key without ASCII armour. Raises ValueError for armour without a key."""
    if data[:1] and data[0] & 0x80:
        return data
    text = data.decode("ascii").replace("\r\n", "\n")
    head, begin, rest = text.partition("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    body, end, after = rest.partition("\n-----END PGP PUBLIC KEY BLOCK-----")
    if not begin or not end or "-----" in after or "-----" in head:
        raise ValueError("it is not one block of ASCII armour")
    _headers, _, encoded = body.partition("\n\n")
    lines = [line for line in encoded.split("\n") if not line.startswith("=")]
    return base64.b64decode("".join(lines), validate=True)


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each packet. Raises ValueError for anything else."""
    offset = 0
    while offset < len(data):
        first = data[offset]
        if not first & 0x80:
            raise ValueError("it is no OpenPGP data")
        if first & 0x40:
            kind, length, begin = first & 0x3F, *new_length(data, offset + 1)
        else:
            kind, size = first >> 2 & 0xF, 1 << (first & 3)
            if size == 8:
                raise ValueError("a packet has no length")
            length, begin = int.from_bytes(data[offset + 1 : offset + 1 + size], "big"), offset + 1 + size
        offset = begin + length
        if offset > len(data):
            raise ValueError("it is cut off")
        yield kind, data[begin:offset]


def new_length(data: bytes, offset: int) -> tuple[int, int]:
    """Parse the length of a packet in the new format."""
    head = data[offset : offset + 1]
    if not head or 224 <= head[0] < 255:
        raise ValueError("a packet has no length")
    if head[0] < 192:
        return head[0], offset + 1
    if head[0] < 224:
        return (head[0] - 192 << 8) + int.from_bytes(data[offset + 1 : offset + 2], "big") + 192, offset + 2
    return int.from_bytes(data[offset + 1 : offset + 5], "big"), offset + 5


def fingerprint_of(data: bytes) -> str:
    """Return the fingerprint of the one key of version 4 in a file. Raises ValueError for any other file."""
    keys = []
    for kind, body in packets(binary_key(data)):
        if kind == PUBLIC_KEY:
            keys.append(body)
        elif kind not in KEPT:
            raise ValueError(f"it holds a packet of type {kind}")
    if len(keys) != 1 or keys[0][:1] != b"\x04":
        raise ValueError(f"it holds {len(keys)} keys, and one of version 4 is expected")
    framed = b"\x99" + len(keys[0]).to_bytes(2, "big") + keys[0]
    return hashlib.sha1(framed).hexdigest().upper()


def trust_key(request: TrustKeyRequest) -> None:
    """Move the key into place, or remove it and exit."""
    try:
        with open(request.new, "rb") as file:
            fingerprint = fingerprint_of(file.read(LONGEST))
    except (ValueError, binascii.Error) as error:
        fingerprint = f"no key: {error}"
    if fingerprint != request.fingerprint:
        os.unlink(request.new)
        sys.exit(
            f"the key that was downloaded is {fingerprint}, and {request.fingerprint} is expected; nothing was "
            "installed from that repository. If its owner has a new key, a newer version of this role knows it"
        )
    os.chmod(request.new, 0o644)
    os.rename(request.new, request.path)


if __name__ == "__main__":
    trust_key(read_request(TrustKeyRequest))
