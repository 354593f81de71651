"""Parser of exports(5) and etab into one canonical form.

exportfs(8) resolves links, drops a trailing slash, and decodes quotes and escapes. A client's name has no case, and an
address has many spellings. Both sides of a comparison are converted here.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator

from files.pods.nfs.protocol import EXPORT_OPTIONS

Key = tuple[str, str]  # a path and a client

ESCAPE = re.compile(r"\\([0-7]{3})")


def canonical_client(text: str) -> str:
    """Return a client in one spelling: an address, ADDRESS/LENGTH, a name in small letters, @NETGROUP or *."""
    name = re.sub(r"[\[\]]", "", text) if ":" in text else text
    if name in ("", "*", "<world>"):
        return "*"
    try:
        network = ipaddress.ip_interface(name).network
    except ValueError:
        return name if name.startswith(("@", "gss/")) else name.lower()
    if network.prefixlen < network.max_prefixlen:
        return network.with_prefixlen
    return canonical_address(str(network.network_address))


def canonical_address(text: str) -> str:
    """Return an address in one spelling; an IPv4 address that a socket of IPv6 shows is that of IPv4."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def unescape(text: str) -> str:
    """Decode octal escapes."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def stated_options(text: str) -> list[str]:
    """Return the options of an etab entry that the role states: those of EXPORT_OPTIONS in order, then the squash."""
    values: dict[str, str] = {}
    names: dict[str, str] = {}
    for option in text.split(","):
        name, _, value = option.partition("=")
        values[name.removeprefix("no_")] = value or name
        names[name] = option
    squash = "all_squash" if values.get("all_squash") == "all_squash" else values.get("root_squash", "root_squash")
    stated = [names.get(other, default) for default, other in EXPORT_OPTIONS.values()] + [squash]
    anonymous = (values.get("anonuid", "65534"), values.get("anongid", "65534"))
    if squash != "no_root_squash" and anonymous != ("65534", "65534"):
        stated += ["anonuid=" + anonymous[0], "anongid=" + anonymous[1]]
    return stated


def raw_entries(etab: str, names: dict[str, str]) -> dict[Key, str]:
    """Return the options of each entry of an export table, as they stand there.

    + names: for a directory, the path by which the role knows it
    """
    options = {}
    for line in etab.splitlines():
        path, _, rest = line.partition("\t")
        client, _, text = rest.strip().partition("(")
        path = os.path.normpath(unescape(path))
        if client:
            options[names.get(path, path), canonical_client(client)] = text.rstrip(")")
    return options


def entries(etab: str, names: dict[str, str]) -> list[list[str]]:
    """Return every entry of an export table as [path, client, option…], sorted."""
    return sorted([*key, *stated_options(text)] for key, text in raw_entries(etab, names).items())


def roots(etab: str, names: dict[str, str]) -> list[list[str]]:
    """Return every [path, client] that is NFSv4's root (fsid=0, exports(5))."""
    options = raw_entries(etab, names).items()
    return sorted(list(key) for key, text in options if {"fsid=0", "fsid=root"} & set(text.split(",")))


def logical_lines(text: str) -> Iterator[list[str]]:
    """Yield the fields of each line of exports(5), without quotes, escapes and comments."""
    for line in text.replace("\\\n", " ").splitlines():
        fields = []
        for match in re.finditer(r'(?:"[^"]*"?|[^\s"])+', line):
            if match[0].startswith("#"):
                break
            fields.append(unescape(match[0].replace('"', "")))
        if fields:
            yield fields


def defined(text: str) -> Iterator[Key]:
    """Yield every (path, client) that a file of exports(5) defines; links in the path are left as they are."""
    for path, *clients in logical_lines(text):
        named = [client for client in clients if not client.startswith("-")]
        for client in named or ["*"]:
            yield os.path.normpath(path), canonical_client(client.partition("(")[0])


def known_path(path: str, names: dict[str, str]) -> str:
    """Return the role's name for a directory, or its real path."""
    real = os.path.realpath(path)
    return names.get(real, real)


def real_names(paths: Iterable[str]) -> dict[str, str]:
    """Return the path by the directory that it leads to."""
    return {os.path.realpath(path): path for path in paths}
