"""Questions to machines, and those that the first look of a run asks every machine of a kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from files.pods.common.protocol import Reply, Request
from tasks.model.fleet.plan import HostPlan, ServerPlan

Function = TypeVar("Function", bound=Callable[..., Request])


@dataclass(frozen=True)
class Question:
    """A request to a machine, and the class of its reply."""

    reply: type[Reply]
    request: Request
    payload: str = field(default="", repr=False)
    """What the entry itself reads from standard input; it may be secret."""


_OF_HOSTS: list[tuple[type[Reply], Callable[[Any], Request]]] = []
_OF_SERVERS: list[tuple[type[Reply], Callable[[Any], Request]]] = []


def ask_hosts(reply: type[Reply]) -> Callable[[Function], Function]:
    """Let the first look ask every host this request, which a function makes from the host's plan."""
    return _registered(_OF_HOSTS, reply)


def ask_servers(reply: type[Reply]) -> Callable[[Function], Function]:
    """Let the first look ask every NFS server this request, which a function makes from the server's plan."""
    return _registered(_OF_SERVERS, reply)


def _registered(
    kept: list[tuple[type[Reply], Callable[[Any], Request]]], reply: type[Reply]
) -> Callable[[Function], Function]:
    def register(request: Function) -> Function:
        kept.append((reply, request))
        return request

    return register


def host_questions(plan: HostPlan) -> list[Question]:
    """What the first look asks a host."""
    return [Question(reply, request(plan)) for reply, request in _OF_HOSTS]


def server_questions(plan: ServerPlan) -> list[Question]:
    """What the first look asks an NFS server."""
    return [Question(reply, request(plan)) for reply, request in _OF_SERVERS]
