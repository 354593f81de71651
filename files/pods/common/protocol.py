"""Requests and replies of entries: dataclasses that both sides import, and one JSON document each way.

Each room declares its own in `protocol.py`. Those files evaluate their annotations, so they use Optional: Python 3.9
knows no `X | None`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import sys
import types
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from files.pods.common.sanitize import escape_control

Message = TypeVar("Message")
Sent = TypeVar("Sent", bound="Request")

_UNIONS = (Union, getattr(types, "UnionType", Union))


class ProtocolError(ValueError):
    """A document that is not what an entry's dataclass states; names the field."""


class Document:
    """A dataclass that travels as one JSON document."""

    def document(self) -> dict[str, Any]:
        """Return the JSON document, without fields that have their default."""
        document: dict[str, Any] = document_of(self)
        return document


class Request(Document):
    """The request of an entry. Each subclass is a frozen dataclass."""

    entry: ClassVar[str]
    """ROOM.NAME of files/pods/ROOM/NAME.py."""


class Reply(Document):
    """What an entry prints. Each subclass is a frozen dataclass, and the one reply to its request."""

    request: ClassVar[type[Request]]


@dataclasses.dataclass(frozen=True)
class HostUser:
    """The user of the host process."""

    user: str
    uid: int
    gid: int


Kind = Literal["absent", "file", "directory", "link", "special file"]


@dataclasses.dataclass(frozen=True)
class Place:
    """What lstat(2) reports of a path; a link on the way to it counts as one at the path."""

    kind: Kind
    uid: int = 0
    gid: int = 0
    mode: str = ""


def document_of(value: Any) -> Any:
    """Return the JSON document of a value that may hold dataclasses, without their fields that have the default."""
    if dataclasses.is_dataclass(value):
        pairs = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {field.name: document_of(it) for field, it in pairs if it != field.default}
    if isinstance(value, dict):
        return {key: document_of(it) for key, it in value.items()}
    return [document_of(it) for it in value] if isinstance(value, (list, tuple)) else value


def read_request(*kinds: type[Sent]) -> Sent:
    """Return the request that this program was started with: of the first kind that has its fields. Exits if none."""
    try:
        document = json.loads(sys.argv[1])
        fitting = [it for it in kinds if set(document) <= set(_fields(it))]
        kind = [*fitting, *kinds][0]
        return decode(kind, document, kind.entry)
    except ValueError as error:
        sys.exit(f"the request is not valid: {error}")


def print_reply(reply: Reply) -> None:
    """Print the document of a reply."""
    print(json.dumps(reply.document()), flush=True)


def decode(kind: type[Message], document: Any, where: str, *, exact: bool = True) -> Message:
    """Return the dataclass that a JSON document states. Raises ProtocolError for a field that is missing or odd.

    + where: the name of the document, which errors begin with
    + exact: whether a field that the dataclass lacks is an error, too. Journals on machines may have one
    """
    decoded: Message = _decode(kind, document, where, exact)
    return decoded


def _decode(kind: Any, value: Any, where: str, exact: bool) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in _UNIONS:
        return _one_of(args, value, where, exact)
    if origin is Literal:
        if any(value is it or (type(value) is type(it) and value == it) for it in args):
            return value
        raise ProtocolError(f"{where} is none of {', '.join(map(repr, args))}")
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where, exact)
    plain = origin or kind
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return _decode(Literal[tuple(it.value for it in plain)], value, where, exact) and plain(value)
    expected: Any = {tuple: list, float: (int, float)}.get(plain, plain)
    if not isinstance(value, expected) or (isinstance(value, bool) and plain is not bool):
        raise ProtocolError(f"{where} is {_named(type(value))}, not {_named(plain)}")
    if plain is list and args:
        return [_decode(args[0], it, f"{where}[{place}]", exact) for place, it in enumerate(value)]
    if plain is dict and args:
        return {
            _decode(args[0], key, f"a key of {where}", exact): _decode(
                args[1], it, f"{where}.{escape_control(key)}", exact
            )
            for key, it in value.items()
        }
    if plain is tuple:
        return _tuple(args, value, where, exact)
    return value


def _one_of(kinds: Sequence[Any], value: Any, where: str, exact: bool) -> Any:
    others = [kind for kind in kinds if kind is not type(None)]
    if value is None and len(others) < len(kinds):
        return None
    for kind in others[:-1]:
        try:
            return _decode(kind, value, where, exact)
        except ProtocolError:
            continue
    return _decode(others[-1], value, where, exact)


def _tuple(kinds: Sequence[Any], value: list[Any], where: str, exact: bool) -> tuple[Any, ...]:
    if kinds[1:] == (...,):
        kinds = [kinds[0]] * len(value)
    if len(kinds) != len(value):
        raise ProtocolError(f"{where} has {len(value)} items, not {len(kinds)}")
    pairs = enumerate(zip(kinds, value))  # noqa: B905 - Python 3.9 has no strict=
    return tuple(_decode(kind, it, f"{where}[{place}]", exact) for place, (kind, it) in pairs)


def _fields(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(kind)}


_hints = functools.lru_cache(maxsize=None)(get_type_hints)


def _dataclass(kind: Any, value: Any, where: str, exact: bool) -> Any:
    if not isinstance(value, dict):
        raise ProtocolError(f"{where} is {_named(type(value))}, not an object")
    fields = _fields(kind)
    if unknown := [name for name in value if exact and name not in fields]:
        raise ProtocolError(f"{where}.{escape_control(unknown[0])} is unknown")
    none = dataclasses.MISSING
    for name, field in fields.items():
        if name not in value and field.default is none and field.default_factory is none:
            raise ProtocolError(f"{where}.{name} is missing")
    try:
        return kind(
            **{
                name: _decode(_hints(kind)[name], it, f"{where}.{name}", exact)
                for name, it in value.items()
                if name in fields
            }
        )
    except ProtocolError:
        raise
    except ValueError as error:  # of the dataclass itself
        raise ProtocolError(f"{where}: {error}") from error


def _named(kind: Any) -> str:
    name: str = kind.__name__
    return {"NoneType": "null", "dict": "an object", "list": "a list", "tuple": "a list"}.get(name, name)
