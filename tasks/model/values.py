"""The types of single setting values: what each accepts, in words that an error can repeat.

A validator raises ValueError with a phrase that follows "expects": first what is accepted, then why.
What passes is safe to stand in exports(5), in a systemd unit and in one quoted word of a command.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

NOBODY = 65534
"""The uid and gid of nobody, to which a squashing server maps by default (exports(5), anonuid)."""

_PATH = re.compile(r"(/[A-Za-z0-9._@+-]+)+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HOST_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_GIT_PATH = r"[A-Za-z0-9._~/%+@=:-]*"
_GIT_URL = re.compile(
    rf"https?://{_HOST_NAME}(:[0-9]+)?/{_GIT_PATH}"
    rf"|(ssh|git)://([A-Za-z0-9_][\w.-]*@)?({_HOST_NAME}|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/{_GIT_PATH}"
    rf"|file:///{_GIT_PATH}"
    rf"|[A-Za-z0-9_][\w.-]*@{_HOST_NAME}:[A-Za-z0-9_~/.]{_GIT_PATH}",
    re.ASCII,
)
_GIT_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*")
_IMAGE = re.compile(r"[a-z0-9]+([._/:@-]+[A-Za-z0-9]+)*")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOUNT_OPTION = re.compile(r"[a-z0-9_][a-z0-9_.-]*(=[A-Za-z0-9._:/-]+)?")
_EXPORT_OPTION = re.compile(r"no_root_squash|root_squash|all_squash|(anonuid|anongid)=[0-9]{1,9}")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[kMG]")

PATH_LENGTH = 255
ROOT_LENGTH = 90
"""Longer, the Unix sockets in data/ would have a name of more than 107 bytes (unix(7), sun_path)."""


def _text(pattern: re.Pattern[str], accepts: str) -> BeforeValidator:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{accepts}; as text, in quotes")
        if not pattern.fullmatch(value):
            raise ValueError(accepts)
        return value

    return BeforeValidator(check)


def _accepts(text: str) -> WrapValidator:
    """Says `text` whatever is wrong: one sentence for the type and the range."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(text) from None

    return WrapValidator(check)


def _list(accepts: str, least: int = 0) -> BeforeValidator:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)) or len(value) < least:
            raise ValueError(accepts)
        return list(value)

    return BeforeValidator(check)


def _mapping(accepts: str) -> BeforeValidator:
    def check(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise ValueError(accepts)
        return value

    return BeforeValidator(check)


def _plain_path(value: str) -> str:
    if any(part in (".", "..") for part in value.split("/")):
        raise ValueError("an absolute path without . or .. parts")
    if len(value) > PATH_LENGTH:
        raise ValueError(f"a path of at most {PATH_LENGTH} characters")
    return value


def _short(value: str) -> str:
    if len(value) > ROOT_LENGTH:
        raise ValueError(f"a path of at most {ROOT_LENGTH} characters: NanoClaw's sockets below it allow no more")
    return value


def _address(value: Any) -> str:
    accepts = "one IP address, such as 10.0.0.11 or fd00::11"
    if not isinstance(value, str):
        raise ValueError(f"{accepts}; as text, in quotes")
    if value == "*" or "/" in value:
        raise ValueError(f"{accepts}; no network and no *: every machine in it could act as any agent")
    address = ip_address(value)
    if address is None:
        raise ValueError(f"{accepts}; no name: exportfs drops one that it cannot look up, and says nothing")
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_multicast or address == "255.255.255.255":
        raise ValueError(f"{accepts}, that belongs to one machine")
    if parsed.is_loopback:
        raise ValueError(f"{accepts}, that other machines can reach; this one means each machine itself")
    if parsed.version == 6 and parsed.is_link_local:
        raise ValueError(f"{accepts}; a link-local one is not enough without a network interface")
    return address


def ip_address(text: str) -> str | None:
    """`text` as an IP address in its one canonical form, or None if it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if "%" in str(address) else str(address)


def usable_address(text: str) -> str | None:
    """`text` as an address that a setting of type Address accepts, or None."""
    try:
        return _address(text)
    except ValueError:
        return None


def _git_ref(value: str) -> str:
    if value.endswith(".lock") or ".lock/" in value:
        raise ValueError("a tag, a branch or a commit; git allows no part that ends in .lock")
    return value


def _node_versions(value: Any) -> tuple[int, int]:
    accepts = "the lowest and the highest major version, such as (20, 24); not below 18"
    if not isinstance(value, (list, tuple)) or len(value) != 2 or any(type(part) is not int for part in value):
        raise ValueError(accepts)
    low, high = value
    if not 18 <= low <= high <= 99:
        raise ValueError(accepts)
    return low, high


def _env_value(value: Any) -> str:
    accepts = "one line of text"
    if not isinstance(value, str):
        raise ValueError(f"{accepts}, in quotes")
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError(f"{accepts}, without control characters")
    return value


Path = Annotated[
    str,
    AfterValidator(_plain_path),
    _text(_PATH, "an absolute path of letters, digits and . _ @ + - (no space, no trailing /)"),
]
Root = Annotated[Path, AfterValidator(_short)]
V1Dir = Annotated[
    str,
    AfterValidator(_plain_path),
    _text(
        re.compile(rf"auto|{_PATH.pattern}"),
        '"auto", or an absolute path of letters, digits and . _ @ + - (no space, no trailing /)',
    ),
]
User = Annotated[str, _text(_USER, "a user name: lower-case letters, digits, _ and -, at most 32")]
Address = Annotated[str, BeforeValidator(_address)]
HostId = Annotated[
    int, Field(ge=0, lt=NOBODY), _accepts(f"a whole number from 0 to {NOBODY - 1} ({NOBODY} is nobody's)")
]
AgentId = Annotated[
    int,
    Field(ge=1, lt=NOBODY),
    _accepts(f"a whole number from 1 to {NOBODY - 1}: an agent is never root, and {NOBODY} is nobody's"),
]
Flag = Annotated[bool, _accepts("True or False")]
Count = Annotated[int, Field(ge=1, le=100), _accepts("a whole number from 1 to 100")]
GitUrl = Annotated[
    str,
    _text(
        _GIT_URL,
        "a git URL without a password: https://, ssh://, git://, file:/// or user@host:path; "
        "give the machine a deploy key for what is private",
    ),
]
GitRef = Annotated[
    str, AfterValidator(_git_ref), _text(_GIT_REF, "a tag, a branch or a commit, such as v2.0.64 (no .., no leading -)")
]
ImageName = Annotated[str, _text(_IMAGE, "a Docker image name; for a pull with its digest: name@sha256:…")]
EnvName = Annotated[str, _text(_ENV_NAME, "a variable name: letters, digits and _, no digit first")]
EnvValue = Annotated[str, BeforeValidator(_env_value)]
Environment = Annotated[dict[EnvName, EnvValue], _mapping('a mapping of names to text, such as {"TZ": "Europe/Oslo"}')]
MountOption = Annotated[str, _text(_MOUNT_OPTION, "one mount option of nfs(5): name or name=value")]
MountOptions = Annotated[list[MountOption], _list('a list of mount options, such as ["lookupcache=positive"]')]
ExportOption = Annotated[
    str,
    _text(
        _EXPORT_OPTION,
        "no_root_squash, root_squash, all_squash, anonuid=UID or anongid=GID; the role writes all other options",
    ),
]
ExportOptions = Annotated[
    list[ExportOption], _list('a list of options, such as ["all_squash", "anonuid=1000", "anongid=1000"]')
]
Command = Annotated[
    list[Annotated[str, _text(re.compile(r"[^\n\r\0]+"), "a word of text without line breaks")]],
    _list('a program and its words, such as ["node", "scripts/ask.mjs"]', least=1),
]
Server = Annotated[str, _text(re.compile(r"\S+", re.ASCII), 'a machine of nfs_servers, an IP address or "local"')]
NodeVersions = Annotated[tuple[int, int], BeforeValidator(_node_versions)]
Size = Annotated[str, _text(_SIZE, "a size such as 100M: a number and k, M or G")]
