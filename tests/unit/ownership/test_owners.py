"""Who owns a new entry: by hand for the cases that differ, and by the kernel's rules for all that are known."""

from typing import get_args

import pytest

from tasks.model.access.identity import ROOT, Ids
from tasks.model.access.storage import Process, Storage
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.owners import Creator, can_chown_on_export, created_by, directory_creator, expected_owner
from tests.builders import host_plan

A, H = Ids(1000, 1000), Ids(1500, 1500)
OTHERS = {"pods_server": "192.0.2.7", "pods_export": "/export/a"}
ON_PODS = {"nanoclaw_root": "/pods/root"}
ROOT_HOST = {"nanoclaw_user": "root"}
USER_HOST = {"nanoclaw_uid": 1500}


HOSTS = {
    "squash": host_plan(**ROOT_HOST),
    "squash, root on the pods": host_plan(**ROOT_HOST, **ON_PODS),
    "native": host_plan(**USER_HOST, pods_access="native"),
    "native, root on the pods": host_plan(**USER_HOST, **ON_PODS, pods_access="native"),
    "chown": host_plan(**ROOT_HOST, pods_access="chown"),
    "chown, root on the pods": host_plan(**ROOT_HOST, **ON_PODS, pods_access="chown"),
    "local": host_plan(pods_server="local", **ROOT_HOST),
    "unknown server, chown": host_plan(**OTHERS, **ROOT_HOST),
    "unknown server, native": host_plan(**OTHERS, **USER_HOST),
}


@pytest.mark.parametrize(
    ("host", "on_pods", "in_root"),
    [
        ("squash", [A, A, A], [ROOT, A, ROOT]),
        ("squash, root on the pods", [A, A, A], [A, A, A]),
        ("native", [H, H, H], [H, H, ROOT]),
        ("chown", [ROOT, A, ROOT], [ROOT, A, ROOT]),
        ("local", [ROOT, A, ROOT], [ROOT, A, ROOT]),
        ("unknown server, chown", [ROOT, None, ROOT], [ROOT, A, ROOT]),
        ("unknown server, native", [None, None, None], [H, H, ROOT]),
    ],
)
def test_owner_of_a_new_entry(host: str, on_pods: list[Ids | None], in_root: list[Ids | None]) -> None:
    assert [created_by(HOSTS[host], process) for process in get_args(Creator)] == on_pods
    assert [created_by(HOSTS[host], process, "project root") for process in get_args(Creator)] == in_root


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_the_kernels_rules_say_the_same(host: HostPlan) -> None:
    ids: dict[Creator, Ids] = {"host": host.host_ids, "agent": host.agent, "root": ROOT}
    for process, own in ids.items():
        if host.squash is not None:
            storage = Storage("nfs4" if host.source else "local", host.squash)
            assert created_by(host, process) == storage.acting(Process(process, own)).ids


@pytest.mark.parametrize(
    ("host", "pods", "root"),
    [
        ("squash", None, ROOT),
        ("squash, root on the pods", None, None),
        ("native", H, H),
        ("chown", ROOT, ROOT),
        ("unknown server, native", None, H),
    ],
)
def test_no_owner_is_expected_where_the_server_decides(host: str, pods: Ids | None, root: Ids | None) -> None:
    assert (expected_owner(HOSTS[host]), expected_owner(HOSTS[host], "project root")) == (pods, root)


def test_root_chowns_on_the_export_only_where_the_server_leaves_it_root() -> None:
    assert [name for name, host in HOSTS.items() if can_chown_on_export(host)] == ["chown, root on the pods"]


def test_the_host_process_creates_directories_where_root_is_another() -> None:
    mapped = host_plan(**OTHERS, **USER_HOST, pods_export_options=["root_squash", "anonuid=1500"])
    assert directory_creator(mapped) == H
    assert {name: directory_creator(host) for name, host in HOSTS.items()} == dict.fromkeys(HOSTS)
