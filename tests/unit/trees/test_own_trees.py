"""The program that gives trees to their owner, run as a machine runs it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.common.protocol import decode
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.trees import main as own_trees
from files.pods.trees import tree_counts
from files.pods.trees.entry import NOBODY
from files.pods.trees.packed_names import MAX_CHARS, pack_names, unpack_names
from files.pods.trees.protocol import CHOWN, RIGHT, TreeReport, TreeRequest, TreesReply, TreesRequest
from files.pods.trees.tree_counts import EndlessError, TreeCounts
from tests.processes import is_gone
from tests.programs import replaced, request_argv
from tests.unit.trees.trees import A, needs_root


def tree_request(tree: Path, **changes: Any) -> TreeRequest:
    request = TreeRequest(str(tree), str(tree), mount=None, anchor=None, uid=A, gid=A, uids=[0], gids=[0, A])
    return replace(request, **changes)


def reports(output: str) -> list[TreeReport]:
    """Return the reports that the program has printed."""
    return decode(TreesReply, json.loads(output.splitlines()[-1]), "trees").trees


def run_trees(tree: Path, *, apply: bool = False, seconds: float | None = None, **changes: Any) -> TreeReport:
    """Return the report of one tree, from the program as a machine runs it."""
    argv = request_argv(TreesRequest(apply, [tree_request(tree, **changes)], seconds))
    return reports(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)[0]


def counts(report: TreeReport) -> dict[str, int]:
    return {str(it.verdict): it.entries for it in report.tallies}


def samples(report: TreeReport) -> dict[str, list[str]]:
    return {str(it.verdict): it.names for it in report.tallies}


@needs_root
def test_program_counts_then_chowns(tree: Path) -> None:
    (tree / "\udcff\n\x1b[31m").mkdir()
    counted = run_trees(tree)
    assert (counted.state, counts(counted), counted.entries) == ("there", {"chown": 6}, 6)
    assert all(name.isprintable() for name in samples(counted)["chown"])
    assert len(samples(counted)["chown"]) == 5
    assert counts(run_trees(tree, apply=True)) == {"chown": 6}
    assert counts(run_trees(tree)) == {"right": 6}


@needs_root
@pytest.mark.parametrize(
    ("mounted", "checked"), [(False, ["128", "206"]), (True, ["256"])], ids=["with find", "with a walk"]
)
def test_progress_is_printed_now_and_then_while_a_tree_is_chowned(
    tree: Path, mounted: bool, checked: list[str]
) -> None:
    """Of a hundred entries here, of ten thousand on machines; before the reply, which stays one line."""
    for number in range(400 if mounted else 200):
        (tree / "ag" / f"f{number}").write_text("")
    (tree / "ag/other").mkdir()
    every = 200 if mounted else 100
    argv = request_argv(
        TreesRequest(True, [tree_request(tree)]), replaced("PROGRESS_EVERY = 10000", f"PROGRESS_EVERY = {every}")
    )
    mount = f"mount -t tmpfs t {shlex.quote(str(tree / 'ag/other'))} && " if mounted else ""
    shell = ["unshare", "--mount", "sh", "-c", f"{mount}{shlex.join(argv)}"]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    *progress, reply = done.stdout.splitlines()
    pattern = rf"{re.escape(str(tree))}: (\d+) entries checked, \d+ chowned"
    assert [match[1] for line in progress if (match := re.fullmatch(pattern, line))] == checked, progress
    assert len(progress) == len(checked) and reports(reply)[0].number(CHOWN) >= 205


@needs_root
@pytest.mark.parametrize("apply", [False, True])
def test_success_prints_no_error(tree: Path, apply: bool) -> None:
    done = subprocess.run(request_argv(TreesRequest(apply, [tree_request(tree)])), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@needs_root
@pytest.mark.parametrize("beneath", [False, True])
@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "nobody"),
        ({"anchor": None}, "there"),
        ({"type": "nfs"}, "there"),
        ({"uid": NOBODY}, "there"),
        ({"other": "ag"}, "there"),
        ({"other": "ag/sess/outbound.db"}, "there"),
        ({"above": 0}, "there"),
    ],
)
def test_tree_of_nobody_over_nfsv4_means_a_broken_id_mapping(
    tmp_path: Path, change: dict[str, Any], state: str, beneath: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mount as well; whether find or, with a mount in the tree, the walk counts it."""
    tree = tmp_path / "pods" / "sessions"
    (tree / "ag/sess").mkdir(parents=True)
    (tree / "ag/sess/outbound.db").touch()
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(tmp_path / "pods")], check=True)
    os.chown(tmp_path / "pods", change.get("above", NOBODY), 0)
    if "other" in change:
        os.chown(tree / change["other"], 0, 0)
    anchor = change.get("anchor", str(tmp_path / "pods"))
    types = {str(tmp_path / "pods"): change.get("type", "nfs4"), **({f"{tree}/ag/x": "tmpfs"} if beneath else {})}
    monkeypatch.setattr(own_trees, "mount_types", lambda: types)
    request = tree_request(tree, within=str(tmp_path / "pods"), anchor=anchor, uid=change.get("uid", A))
    reply = run_as(ROOT, 20, lambda: own_trees.process_tree(request, False, time.monotonic() + 20).state)
    assert reply["value"] == state


def test_bare_mount_point_is_not_the_tree(tree: Path) -> None:
    assert run_trees(tree, mount=str(tree)).state == "unmounted"


def test_missing_tree_is_absent_and_link_is_unreadable(tree: Path) -> None:
    assert run_trees(tree / "none").state == "absent"
    (tree / "link").symlink_to("ag")
    assert run_trees(tree / "link").state == "unreadable"


@needs_root
def test_tree_below_a_link_or_another_mount_is_refused(tmp_path: Path) -> None:
    """No link leads out of the project root, not even root's own, and another file system is no part of it."""
    root, other = tmp_path / "root", tmp_path / "other"
    for path in (root / "data/v2-sessions", root / "groups", other / "v2-sessions/ag"):
        path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "t", str(root / "groups")], check=True)
    try:
        (root / "groups/main").mkdir()
        assert run_trees(root / "data/v2-sessions", within=str(root)).state == "there"
        report = run_trees(root / "groups", within=str(root))
        assert (report.state, counts(report)) == ("unreadable", {"EXDEV": 1})
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run_trees(root / "groups", within=str(root), apply=True)
        assert "another file system is mounted there): the tree itself" in failed.value.stderr
        assert counts(run_trees(root / "groups", apply=True)) == {"chown": 2}
    finally:
        subprocess.run(["umount", str(root / "groups")], check=True)
    shutil.rmtree(root / "data")
    (root / "data").symlink_to(other)
    report = run_trees(root / "data/v2-sessions", within=str(root))
    assert report.state == "unreadable" and set(counts(report)) <= {"ENOTDIR", "ELOOP"}
    with pytest.raises(subprocess.CalledProcessError):
        run_trees(root / "data/v2-sessions", within=str(root), apply=True)
    assert (other / "v2-sessions/ag").stat().st_uid == 0


@needs_root
def test_failed_chown_fails_the_program(tree: Path) -> None:
    """An immutable file stands for a server that forbids it; the next run fails again, with the name."""
    stubborn = tree / "ag" / "stubborn"
    stubborn.write_text("")
    if subprocess.run(["chattr", "+i", stubborn], capture_output=True).returncode != 0:
        pytest.skip("no immutable files here")
    try:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            run_trees(tree, apply=True)
    finally:
        subprocess.run(["chattr", "-i", stubborn], check=True)
    why = "1 entries, EPERM (the server or the file forbids it)"
    assert caught.value.stderr == f"{tree}: {why}: ag/stubborn\n" and caught.value.returncode == 1
    assert counts(run_trees(tree)) == {"right": 5, "chown": 1}


@needs_root
@pytest.mark.parametrize("anchor", [None, "/pods"], ids=["local", "nfs"])
def test_apply_chowns_only_named_entries_and_judges_each_again(tree: Path, anchor: str | None) -> None:
    """Each is decided on anew: what has become another's, a link's other end or a second name stays as it is."""
    outside = tree.parent / "outside"
    outside.mkdir()
    for folder in (tree / "ag" / "sess", outside):
        for name in ("a\n\udcff", "gone", "theirs", "doubled"):
            (folder / name).write_text("")
    (tree / "ag" / "swapped" / "sess").mkdir(parents=True)
    (tree / "ag" / "swapped" / "sess" / "gone").write_text("")
    scan = run_trees(tree, anchor=anchor)
    session = tree / "ag" / "sess"
    (session / "gone").unlink()
    os.chown(session / "theirs", 7, 7)
    os.link(session / "doubled", outside / "other name")
    shutil.rmtree(tree / "ag" / "swapped")
    (tree / "ag" / "swapped").symlink_to(outside)
    (session / "later").write_text("")
    applied = run_trees(tree, anchor=anchor, apply=True, names=scan.names)
    assert applied.names is None
    assert counts(applied)["chown"] == counts(scan)["chown"] - 5  # gone, theirs, doubled, and two below the link
    assert os.lstat(session / "a\n\udcff").st_uid == os.lstat(session).st_uid == os.lstat(tree).st_uid == A
    assert os.lstat(session / "later").st_uid == 0
    assert {path.stat().st_uid for path in (outside, *outside.iterdir())} == {0}


@needs_root
def test_too_many_names_are_omitted(tree: Path) -> None:
    for _ in range(400):
        (tree / os.urandom(100).hex()).write_text("")
    scan = run_trees(tree)
    assert counts(scan)["chown"] > 400 and scan.names is None
    assert counts(run_trees(tree, apply=True, names=scan.names)) == counts(scan)


@needs_root
def test_names_of_all_trees_share_one_limit(tree: Path) -> None:
    """Those of each by itself would: the later tree is looked through again."""
    for name in ("one", "two"):
        (tree / name).mkdir()
        for _ in range(900):
            (tree / name / os.urandom(16).hex()).touch()
    trees = [tree_request(tree / name, within=str(tree)) for name in ("one", "two")]
    done = subprocess.run(request_argv(TreesRequest(False, trees)), capture_output=True, text=True, check=True)
    first, second = (report.names for report in reports(done.stdout))
    assert first is not None and second is None
    assert len(unpack_names(first)) == 901 and len(first) < MAX_CHARS < 2 * len(first)


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name)))
def test_packed_names_round_trip(names: list[bytes]) -> None:
    decoded = ["", *map(os.fsdecode, names)]
    word = pack_names(decoded, 1 << 30)
    assert word is not None and word.isascii() and unpack_names(word) == decoded
    assert pack_names(decoded, len(word) - 1) is None
    assert unpack_names(pack_names([]) or "") == []


STRANGE = (
    "link",
    "pipe",
    "another's",
    "another's group",
    "root's group",
    "set-id",
    "two names",
    "-delete",
    "a\n\udcff",
)


def make_strange(kind: str, at: Path) -> None:
    """An entry that is not what NanoClaw makes, of root unless its name says otherwise."""
    if kind == "link":
        at.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(at)
    elif kind == "-delete":
        at.mkdir()
    else:
        at.write_text("")
    ids = {"another's": (7, 8), "another's group": (A, 8), "root's group": (A, 0)}
    os.lchown(at, *ids.get(kind, (0, 0)))
    if kind == "set-id":
        at.chmod(0o4755)
    if kind == "two names":
        os.link(at, f"{at} too")


@needs_root
@pytest.mark.parametrize("anchor", [None, "/pods"], ids=["local", "nfs"])
@pytest.mark.parametrize("names", [[name] for name in STRANGE] + [list(STRANGE)], ids=repr)
def test_find_and_walk_agree(tree: Path, names: list[str], anchor: str | None) -> None:
    """A scan goes by find(1), over NFS by several, a chown by a walk: else a run promises what it does not do."""
    deep = tree / "ag" / "sess" / "a" / "b"
    deep.mkdir(parents=True)
    for name in names:
        for path in (tree, tree / "ag", deep):
            make_strange(name, path / name)
    scan = run_trees(tree, anchor=anchor)
    walked = run_trees(tree, apply=True)
    assert (counts(scan), scan.entries) == (counts(walked), walked.entries)
    for verdict in set(counts(scan)) - {"chown", "right"}:  # of those that are given, five are named
        if counts(scan)[verdict] <= 5:
            assert sorted(samples(scan)[verdict]) == sorted(samples(walked)[verdict])


@needs_root
@pytest.mark.parametrize("anchor", [None, "/pods"], ids=["local", "nfs"])
def test_what_fsck_recovered_is_neither_counted_nor_chowned(tree: Path, anchor: str | None) -> None:
    """It is root's, at the top; an agent's directory of that name is one as any other."""
    (tree / "lost+found/sess").mkdir(parents=True)
    (tree / "lost+found/sess/file").write_text("")
    (tree / "ag/lost+found").mkdir()
    scan = run_trees(tree, anchor=anchor)
    assert (counts(scan), scan.entries) == ({"chown": 6}, 6) and scan.names is not None
    assert counts(run_trees(tree, anchor=anchor, apply=True)) == {"chown": 6}
    lost = tree / "lost+found"
    assert {path.stat().st_uid for path in (lost, *lost.rglob("*"))} == {0}
    assert (tree / "ag/lost+found").stat().st_uid == A


@needs_root
def test_scan_changes_no_timestamps(tree: Path) -> None:
    before = times(tree)
    run_trees(tree)
    assert times(tree) == before
    run_trees(tree, apply=True)
    applied = times(tree)
    assert all(applied[path][0] > before[path][0] for path in before), "or else there was nothing to change"
    run_trees(tree)
    run_trees(tree, apply=True)
    assert times(tree) == applied


def times(tree: Path) -> dict[Path, tuple[int, int]]:
    """When each entry was changed, and what is in it."""
    return {path: (path.lstat().st_ctime_ns, path.lstat().st_mtime_ns) for path in tree.rglob("*")}


@needs_root
def test_mount_inside_the_tree_is_counted_as_elsewhere(tree: Path) -> None:
    """find(1) knows a bind mount of the same file system for a part of the tree."""
    (tree / "bound").mkdir()
    other = tree.parent / "other"
    other.mkdir()
    (other / "file").write_text("")
    argv = request_argv(TreesRequest(False, [tree_request(tree)]))
    mount = f"mount --bind {shlex.quote(str(other))} {shlex.quote(str(tree / 'bound'))} && {shlex.join(argv)}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True, text=True, check=True)
    assert counts(reports(done.stdout)[0])["elsewhere"] == 1


@needs_root
def test_mount_point_of_any_name_stops_no_scan(tree: Path) -> None:
    """The table of mounts has names of others, which may be no UTF-8."""
    point = tree.parent / "caf\udce9"
    point.mkdir()
    argv = request_argv(TreesRequest(False, [tree_request(tree)]))
    check_argv = [sys.executable, "-c", "from files.pods.common.mountinfo import mount_table as t; print(len(t()) > 1)"]
    shell = 'mount -t tmpfs t "$1" && shift && cd "$1" && shift && python="$1" && shift && "$@" && ' + shlex.join(
        check_argv
    )
    project = str(Path(__file__).parents[3])
    names = ["unshare", "--mount", "sh", "-c", shell, "sh", str(point), project, sys.executable, *argv]
    done = subprocess.run(names, capture_output=True, text=True, check=True)
    *_, reply, mounts = done.stdout.splitlines()
    assert reports(reply)[0].state == "there" and mounts == "True"


@needs_root
def test_vanishing_entries_do_not_fail_the_scan(tree: Path) -> None:
    """NanoClaw makes and removes files all the time. More directories than one find is given, so that several run."""
    for number in range(250):
        (tree / "ag" / f"s{number}" / "outbox").mkdir(parents=True)
    come_and_go = "while :; do mkdir -p x/y/z && rm -r x ag/s9/outbox; mkdir ag/s9/outbox; done"
    with subprocess.Popen(["sh", "-c", come_and_go], cwd=tree, stderr=subprocess.DEVNULL) as busy:
        try:
            scans = [run_trees(tree, anchor="/pods") for _ in range(10)]
        finally:
            busy.kill()
    assert {scan.state for scan in scans} == {"there"}
    assert all(counts(scan)["chown"] >= 500 for scan in scans)


@needs_root
def test_sockets_are_chowned_on_request(tree: Path) -> None:
    """One that root made is closed to a root that is squashed: nobody could talk to NanoClaw."""
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tree / "cli.sock"))
        assert counts(run_trees(tree)) == {"chown": 5, "special": 1}
        assert counts(run_trees(tree, sockets=True)) == {"chown": 6}
        run_trees(tree, sockets=True, apply=True)
        assert os.lstat(tree / "cli.sock").st_uid == A


@needs_root
@pytest.mark.parametrize("beneath", [False, True], ids=["find", "walk"])
def test_thousands_of_forged_owners_make_a_short_report(tree: Path, beneath: bool) -> None:
    """Under no_root_squash a container's root, or who forges uids, makes entries of any owner."""
    for number in range(3000):
        (tree / "ag" / "sess" / f"f{number}").touch()
        os.chown(tree / "ag" / "sess" / f"f{number}", 100_000 + number, 5)
    if beneath:
        (tree / "ag" / "point").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "t", tree / "ag" / "point"], check=True)
    try:
        report = run_trees(tree)
    finally:
        if beneath:
            subprocess.run(["umount", tree / "ag" / "point"], check=True)
    assert len(json.dumps(asdict(report))) < 10_000
    assert len(counts(report)) <= 23 and sum(counts(report).values()) == report.entries >= 3005
    assert counts(report)["foreign others"] > 2900
    assert len(samples(report)["foreign others"]) == 5
    assert counts(report)["chown"] == 5, "entries to chown are counted, whatever is beside them"


@needs_root
@pytest.mark.parametrize("apply", [False, True])
def test_deadline_ends_a_run_and_the_next_run_continues(tree: Path, apply: bool) -> None:
    for number in range(20_000):
        (tree / "ag" / "sess" / f"f{number}").touch()
    if apply:
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run_trees(tree, apply=True, seconds=0.05)
        assert "not finished after" in failed.value.stderr and "Run again to continue" in failed.value.stderr
        report = reports(failed.value.stdout)[0]
    else:
        report = run_trees(tree, seconds=0.02)
    assert (report.state, report.names) == ("unfinished", None)
    assert report.entries < 20_005
    applied = sum(path.lstat().st_uid == A for path in (tree / "ag" / "sess").iterdir())
    counted = counts(report).get("chown", 0) if apply else 0
    assert counted <= applied <= counted + own_trees.CHOWN_BATCH
    assert counts(run_trees(tree, apply=True))["chown"] <= 20_005 - applied
    assert {path.lstat().st_uid for path in (tree / "ag" / "sess").iterdir()} == {A}


def test_walk_ends_after_more_entries_than_the_file_system_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an agent moves ahead of find(1) is met again and again."""
    monkeypatch.setattr(tree_counts, "SLACK", 5)
    monkeypatch.setattr(os, "fstatvfs", lambda _root: SimpleNamespace(f_files=100, f_ffree=90))
    limited = TreeCounts(-1, time.monotonic() + 60)
    limited.add(RIGHT, "", 25)
    with pytest.raises(EndlessError):
        limited.add(RIGHT, "")
    monkeypatch.setattr(os, "fstatvfs", lambda _root: SimpleNamespace(f_files=0, f_ffree=0))
    TreeCounts(-1, time.monotonic() + 60).add(RIGHT, "", 1 << 40)  # a file system that does not say


@needs_root
def test_ended_run_leaves_no_find_process(tree: Path) -> None:
    for number in range(20_000):
        (tree / "ag" / "sess" / f"f{number}").touch()
    run_trees(tree, seconds=0.01, anchor="/pods")
    left = subprocess.run(["pgrep", "-af", "ignore_readdir_race"], capture_output=True, text=True).stdout
    cwds = {int(line.split()[0]): Path(f"/proc/{line.split()[0]}/cwd") for line in left.splitlines()}
    assert all(is_gone(pid) for pid, cwd in cwds.items() if cwd.exists() and cwd.readlink() == tree)
