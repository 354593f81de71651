"""What each part of the play runs on a machine, with which plan."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tasks
from tasks import exports, mounts, ownership, runtime, service, source, verify
from tasks.model.ownership.trees import host_trees, server_trees
from tests.fixtures.cases import operations
from tests.fixtures.driver import planned

TASKS = [import_module(f"tasks.{path.stem}") for path in sorted(Path(tasks.__path__[0]).glob("[!_]*.py"))]
ORDERED = {
    *("debian_packages", "export_directories", "nfs_server", "export_table"),
    *("install_channels", "build", "stage", "switch", "roll_back", "record"),
    *("pods_mount", "pods_directory", "pods_binds", "docker_and_pods", "tree_owner", "guard"),
    *(
        "runtime",
        "checkout",
        "apply_skills",
        "agent_image",
        "env_files",
        "host_service",
        "agent_writes",
        "stop_service",
    ),
}
"""The tests below state the order of these in full. Another operation may come between them."""


def operations_of(module: ModuleType) -> dict[str, str]:
    """The operations that a task imports, by their names in it: MODULE.OPERATION."""
    imported = {name: inspect.unwrap(it) for name, it in vars(module).items() if hasattr(it, "_inner")}
    return {
        name: f"{it.__module__.removeprefix('tasks.operations.')}.{it.__name__}"
        for name, it in imported.items()
        if it.__module__.startswith("tasks.operations.")
    }


def test_every_operation_belongs_to_a_task() -> None:
    assert {it for module in TASKS for it in operations_of(module).values()} == set(operations())
    assert {it.rpartition(".")[2] for it in operations()} >= ORDERED


@pytest.fixture
def names() -> list[str]:
    """The names of the operations that ran: what an operator sees of them."""
    return []


@pytest.fixture
def ran(names: list[str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The operations that ran, with their arguments; each has a deadline."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def recorded(operation: str) -> Any:
        def record(*, name: str, _timeout: int, **arguments: Any) -> None:
            assert _timeout > 0
            if operation in ORDERED:
                names.append(name)
                calls.append((operation, arguments))

        return record

    for module in TASKS:
        for name in operations_of(module):
            monkeypatch.setattr(module, name, recorded(name))
    return calls


def run(module: ModuleType, part: str, **arguments: Any) -> None:
    """Runs a part of the play without pyinfra."""
    getattr(module, part)._inner(**arguments)


def test_a_server_has_its_directories_and_service_before_its_exports(ran: list[Any], names: list[str]) -> None:
    plan = planned("squash").servers["@fake/server"]
    run(exports, "serve_exports", plan=plan, guard_hosts=("oslo",), stop_hosts=("bergen",))
    run(ownership, "own_exports", plan=plan)
    assert ran == [
        ("debian_packages", {"packages": ["nfs-kernel-server"]}),
        ("export_directories", {"plan": plan}),
        ("nfs_server", {"plan": plan}),
        ("export_table", {"plan": plan, "guard_hosts": ("oslo",), "stop_hosts": ("bergen",)}),
        ("tree_owner", {"trees": server_trees(plan)}),
    ]
    assert names == [
        "Install the NFS server",
        "Make the export directories",
        "Run the NFS server",
        "Export the pods",
        "Chown the exports to their agents",
    ]


@pytest.mark.parametrize(
    ("kind", "operations"),
    [
        ("squash", ["pods_mount", "pods_binds", "docker_and_pods"]),
        ("pods", ["pods_mount", "docker_and_pods"]),
        ("local", ["pods_directory", "pods_binds", "docker_and_pods"]),
    ],
)
def test_the_pods_are_mounted_and_bound_where_they_are_to_be(kind: str, operations: list[str], ran: list[Any]) -> None:
    plan = planned(kind).hosts[f"@fake/{kind}"]
    run(mounts, "mount_pods", plan=plan)
    assert ran == [(operation, {"plan": plan}) for operation in operations]


def test_local_pods_with_a_root_of_their_own_are_a_directory_alone(ran: list[Any]) -> None:
    plan = planned("local", {"nanoclaw_root": "/pods/nanoclaw"}).hosts["@fake/local"]
    run(mounts, "mount_pods", plan=plan)
    assert ran == [("pods_directory", {"plan": plan})]


ELSEWHERE = {"pods_server": "10.0.0.99", "pods_export": "/vol/pods"}


@pytest.mark.parametrize(
    ("kind", "data", "can_change"), [("chown", {}, True), ("squash", ELSEWHERE, False), ("squash", {}, None)]
)
@pytest.mark.parametrize("guard_started", [False, True])
def test_trees_go_to_the_agent_by_who_may_chown_them(
    kind: str, data: dict[str, str], can_change: bool | None, guard_started: bool, ran: list[Any]
) -> None:
    plan = planned(kind, data).hosts[f"@fake/{kind}"]
    run(ownership, "own_trees", plan=plan, guard_started=guard_started)
    walked = {"trees": host_trees(plan), "can_change": can_change}
    assert ran == [
        *([] if can_change is None else [("tree_owner", walked)]),
        *([] if guard_started else [("guard", {"plan": plan})]),
    ]


def test_the_guard_runs_first_where_the_host_needs_it(ran: list[Any]) -> None:
    plan = planned("chown").hosts["@fake/chown"]
    run(ownership, "guard_first", plan=plan)
    assert ran == [("guard", {"plan": plan})]


def test_a_service_stops_first_where_its_server_maps_its_ids_in_another_way(ran: list[Any], names: list[str]) -> None:
    plan = planned("chown").hosts["@fake/chown"]
    run(service, "stop_first", plan=plan)
    assert ran == [("stop_service", {"plan": plan})] and names == ["Stop NanoClaw before its server changes"]


@pytest.mark.parametrize("start", [True, False])
def test_a_service_has_its_image_and_secrets_before_it_starts(start: bool, ran: list[Any], names: list[str]) -> None:
    plan = planned("squash").hosts["@fake/squash"]
    run(runtime, "install_runtime", plan=plan)
    run(source, "install_source", plan=plan)
    run(service, "run_service", plan=plan, start=start)
    run(verify, "verify_host", plan=plan)
    assert ran == [
        ("runtime", {"plan": plan}),
        ("checkout", {"plan": plan, "move": True}),
        ("build", {"plan": plan, "move": True}),
        ("apply_skills", {"plan": plan}),
        ("agent_image", {"plan": plan}),
        ("env_files", {"plan": plan}),
        ("host_service", {"plan": plan, "start": start}),
        ("agent_writes", {"plan": plan}),
    ]
    assert names == [
        "Install packages and make the host user",
        "Check out NanoClaw",
        "Build NanoClaw",
        "Apply the gateway and the channels",
        "Get the agent image",
        "Set .env and close it",
        "Run NanoClaw as a service",
        "Act as the host and as the agent",
    ]


def test_source_that_a_change_of_version_brings_is_not_moved(ran: list[Any]) -> None:
    plan = planned("squash").hosts["@fake/squash"]
    run(source, "install_source", plan=plan, move=False)
    assert ran == [("checkout", {"plan": plan, "move": False}), ("build", {"plan": plan, "move": False})]


def test_a_service_starts_by_default(ran: list[Any]) -> None:
    plan = planned("squash").hosts["@fake/squash"]
    run(service, "run_service", plan=plan)
    assert ran[-1] == ("host_service", {"plan": plan, "start": True})


def test_each_operation_of_mounts_and_trees_has_a_name_that_says_what_it_does(ran: list[Any], names: list[str]) -> None:
    chown, local = planned("chown").hosts["@fake/chown"], planned("local").hosts["@fake/local"]
    run(ownership, "guard_first", plan=chown)
    run(mounts, "mount_pods", plan=chown)
    run(mounts, "mount_pods", plan=local)
    run(ownership, "own_trees", plan=chown)
    assert list(dict.fromkeys(names)) == [
        "Guard the sessions before the server changes",
        "Mount the pods",
        "Show the pods in the project root",
        "Order Docker after the pods and fence containers",
        "Make the pods directory",
        "Chown sessions and groups to the agent",
        "Guard new sessions",
    ]
