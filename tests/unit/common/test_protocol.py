"""Requests and replies: what one side writes, the other reads; anything else is an error that names its field."""

from __future__ import annotations

import ast
import dataclasses
import json
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from files.pods.common.protocol import HostUser, ProtocolError, Reply, Request, decode
from files.pods.guard.protocol import GuardStateRequest
from files.pods.machine.protocol import BatchReply, PreflightRequest
from files.pods.transition.documents import Journal
from files.pods.transition.protocol import StartPayload
from files.pods.trees.protocol import TreesRequest
from files.pods.v1.v1_state import V1State
from tasks.bundle import PODS, entry_file
from tasks.facts import fact_of
from tasks.model.access.identity import HIGHEST_ID, Ids
from tests.programs import program_argv
from tests.replies import every_reply

for path in PODS.rglob("protocol.py"):
    import_module(".".join(path.relative_to(PODS.parents[1]).with_suffix("").parts))
REQUESTS = Request.__subclasses__()
REPLIES = every_reply()
PREFLIGHT: dict[str, Any] = {
    "paths": ["/pods"],
    "account": {"user": "nanoclaw", "uid": 1000, "gid": 1000},
    "agent": None,
    "space": [],
    "places": {"paths": [], "marks": {}, "enter": []},
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of the border."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Ids:
        return st.builds(Ids, *[st.integers(0, HIGHEST_ID)] * 2)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: values(hints[field.name]) for field in dataclasses.fields(kind)})
    if kind is Any:
        return st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())
    if origin is Literal:
        return st.sampled_from(args)
    if origin is list:
        return st.lists(values(args[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values(args[0]), values(args[1]), max_size=3)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=3).map(tuple) if args[1:] == (...,) else st.tuples(*map(values, args))
    if args:
        return st.one_of([values(each) for each in args])
    return st.floats(allow_nan=False) if kind is float else st.from_type(kind)


APART = {
    "files.pods.source.skill_documents",
    "files.pods.source.staging_protocol",
    "files.pods.transition.version_protocol",
}
"""Requests of a room that has too many for one file."""


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_the_machine_reads_the_request_that_the_controller_writes(kind: type[Request], data: st.DataObject) -> None:
    request = data.draw(values(kind))
    assert decode(kind, json.loads(json.dumps(request.document())), kind.entry) == request


@pytest.mark.parametrize("kind", REPLIES, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_the_controller_reads_the_reply_that_the_machine_writes(kind: type[Reply], data: st.DataObject) -> None:
    reply = data.draw(values(kind))
    assert decode(kind, json.loads(json.dumps(reply.document())), kind.request.entry, exact=False) == reply


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_a_request_is_of_an_entry(kind: type[Request]) -> None:
    assert entry_file(kind.entry).exists()
    room = f"files.pods.{kind.entry.rpartition('.')[0]}"
    assert kind.__module__ == f"{room}.protocol" or (kind.__module__ in APART and kind.__module__.startswith(room))


@pytest.mark.parametrize("entry", sorted({kind.entry for kind in REQUESTS}))
def test_entry_refuses_another_request_and_names_the_field(entry: str) -> None:
    done = subprocess.run(
        program_argv(entry, {"other": 1}), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"the request is not valid: {entry}.other is unknown\n"


def imported(path: Path) -> set[str]:
    """The names that a file imports from modules of requests."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom))
    modules = [node for node in nodes if (node.module or "").endswith(".protocol") or node.module in APART]
    return {name.name for node in modules for name in node.names}


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_both_sides_import_a_request(kind: type[Request]) -> None:
    assert {kind.__name__, "read_request"} <= imported(entry_file(kind.entry))
    assert [path for path in (PODS.parents[1] / "tasks").rglob("*.py") if kind.__name__ in imported(path)]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.__name__)
def test_an_entry_prints_its_reply_from_the_class_beside_it(reply: type[Reply]) -> None:
    """And nothing else: the controller reads one document."""
    entry = reply.request.entry
    assert reply.__module__.startswith(f"files.pods.{entry.rpartition('.')[0]}.")
    module = ast.parse(entry_file(entry).read_text(encoding="utf-8"))
    names = {name.name for it in ast.walk(module) if isinstance(it, ast.ImportFrom) for name in it.names}
    assert {reply.__name__, "print_reply"} <= names
    assert [it for it in printed(module) if it != "print_reply"] == []


def test_what_prints_a_reply_has_a_class_for_it() -> None:
    files = {path for path in PODS.rglob("*.py") if "print_reply" in printed(ast.parse(path.read_text("utf-8")))}
    assert files == {entry_file(reply.request.entry) for reply in REPLIES}


def printed(module: ast.Module) -> list[str]:
    """The calls that print to standard output, by the name of the function."""
    calls = [it for it in ast.walk(module) if isinstance(it, ast.Call) and isinstance(it.func, ast.Name)]
    named = [(it.func.id, {key.arg for key in it.keywords}) for it in calls if isinstance(it.func, ast.Name)]
    return [name for name, keys in named if name in ("print", "print_reply") and "file" not in keys]


def modules(kind: Any) -> set[str]:
    """The modules of a dataclass and of those that its fields hold."""
    if not dataclasses.is_dataclass(kind):
        return {it for each in get_args(kind) for it in modules(each)}
    own = {it.__module__ for it in kind.__mro__ if dataclasses.is_dataclass(it)}  # type: ignore[union-attr]
    return own | {it for each in get_type_hints(kind).values() for it in modules(each)}


DECODED = {it for kind in (*REQUESTS, StartPayload, Journal, V1State) for it in modules(kind)}
"""The modules of what machines decode."""


@pytest.mark.parametrize(
    "path",
    sorted({*PODS.rglob("protocol.py"), *(PODS.parents[1] / f"{it.replace('.', '/')}.py" for it in DECODED)}),
    ids=str,
)
def test_python_3_9_can_evaluate_the_annotations_of_requests(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    fields = [node.annotation for it in classes for node in ast.walk(it) if isinstance(node, ast.AnnAssign)]
    assert not [ast.unparse(it) for it in fields if any(isinstance(node, ast.BitOr) for node in ast.walk(it))]


def test_there_are_requests() -> None:
    assert len(REQUESTS) >= 19


def test_a_field_with_its_default_is_not_sent() -> None:
    request = decode(PreflightRequest, PREFLIGHT, "x")
    assert request.document() == PREFLIGHT and request.ids == ()
    assert request.account == HostUser("nanoclaw", 1000, 1000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"paths": None}, "machine.preflight.paths is null, not a list"),
        ({"paths": "/pods"}, "machine.preflight.paths is str, not a list"),
        ({"paths": ["/a", 2]}, "machine.preflight.paths[1] is int, not str"),
        ({"agent": True}, "machine.preflight.agent is bool, not int"),
        ({"agent": 1.0}, "machine.preflight.agent is float, not int"),
        ({"account": []}, "machine.preflight.account is a list, not an object"),
        ({"account": {"user": "u", "uid": 1}}, "machine.preflight.account.gid is missing"),
        ({"account": {"user": "u", "uid": "1", "gid": 1}}, "machine.preflight.account.uid is str, not int"),
        (
            {"places": {"paths": [], "marks": {"/a": 1}, "enter": []}},
            "machine.preflight.places.marks./a is int, not str",
        ),
        ({"else": 1}, "machine.preflight.else is unknown"),
        ({"el\x1b[2Jse": 1}, "machine.preflight.el\\x1b[2Jse is unknown"),
    ],
)
def test_a_field_that_is_odd_is_named(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ProtocolError) as failure:
        decode(PreflightRequest, {**PREFLIGHT, **change}, PreflightRequest.entry)
    assert str(failure.value) == why


@pytest.mark.parametrize("name", PREFLIGHT)
def test_a_field_that_is_missing_is_named(name: str) -> None:
    document = {key: value for key, value in PREFLIGHT.items() if key != name}
    with pytest.raises(ProtocolError, match=rf"^machine\.preflight\.{name} is missing$"):
        decode(PreflightRequest, document, PreflightRequest.entry)


@pytest.mark.parametrize("kind", [TreesRequest, GuardStateRequest, BatchReply])
@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_another_document_is_refused(kind: Any, document: Any) -> None:
    with pytest.raises(ProtocolError, match=r"^x is .*, not an object$"):
        decode(kind, document, "x")


def needed(reply: Any) -> list[str]:
    """The fields that have no default."""
    return [f.name for f in dataclasses.fields(reply) if f.default is f.default_factory is dataclasses.MISSING]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.__name__)
def test_a_reply_names_its_entry_and_the_field_that_is_missing(reply: type[Reply]) -> None:
    with pytest.raises(Exception, match=rf"{reply.request.entry}\.{needed(reply)[0]} is missing"):
        fact_of(reply)().process(["{}"])


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.__name__)
def test_a_field_that_the_role_does_not_read_makes_no_reply_invalid(reply: type[Reply]) -> None:
    """A journal that another version of the role wrote may have more."""
    with pytest.raises(Exception, match=r"is missing") as failure:
        fact_of(reply)().process(['{"else": 1}'])
    assert any(f"{reply.request.entry}.{name} is missing" in str(failure.value) for name in needed(reply))


def test_a_reply_is_read_without_the_fields_that_the_role_does_not_read() -> None:
    reply = decode(HostUser, {"user": "u", "uid": 1, "gid": 2, "more": {}}, "x", exact=False)
    assert reply == HostUser("u", 1, 2)
    with pytest.raises(ProtocolError, match=r"^x\.more is unknown$"):
        decode(HostUser, {"user": "u", "uid": 1, "gid": 2, "more": {}}, "x")
