"""The program that gives trees to their owner, run as a machine runs it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.trees import main as own_trees
from files.pods.trees.entry import NOBODY
from files.pods.trees.packed_names import LONGEST, packed, unpacked
from tests.programs import entry_argv
from tests.unit.trees.trees import A, needs_root


def ask(tree: Path, **more: Any) -> dict[str, Any]:
    """What the program says of one tree, run as a machine runs it."""
    places = {"path": str(tree), "within": str(tree), "mount": None, "anchor": None}
    asked = {**places, "uid": A, "gid": A, "uids": [0], "gids": [0, A], **more}
    seconds = {"seconds": more["seconds"]} if "seconds" in more else {}
    arguments = json.dumps({"apply": more.pop("apply", False), "trees": [asked], **seconds})
    words = [*entry_argv("trees.main"), arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["trees"][0]
    return report


@needs_root
def test_the_program_counts_and_then_changes(tree: Path) -> None:
    (tree / "\udcff\n\x1b[31m").mkdir()
    counted = ask(tree)
    assert (counted["state"], counted["counts"], counted["entries"]) == ("there", {"give": 6}, 6)
    assert all(name.isprintable() for name in counted["samples"]["give"])
    assert len(counted["samples"]["give"]) == 5
    assert ask(tree, apply=True)["counts"] == {"give": 6}
    assert ask(tree)["counts"] == {"right": 6}


@needs_root
@pytest.mark.parametrize("apply", [False, True])
def test_the_program_complains_of_nothing_where_all_went_well(tree: Path, apply: bool) -> None:
    told = {"path": str(tree), "within": str(tree), "mount": None, "anchor": None, "uid": A, "gid": A, "uids": [0]}
    asked = json.dumps({"apply": apply, "trees": [{**told, "gids": [0, A]}]})
    done = subprocess.run([*entry_argv("trees.main"), asked], capture_output=True)
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
def test_a_tree_that_is_all_nobodys_over_nfsv4_is_a_lost_mapping_of_names(
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
    asked = {"path": str(tree), "within": str(tmp_path / "pods"), "mount": None, "anchor": anchor}
    asked |= {"uid": change.get("uid", A), "gid": A, "uids": [0], "gids": [0, A]}
    answer = run_as(ROOT, 20, lambda: own_trees.look(asked, False, time.monotonic() + 20))
    assert answer["value"]["state"] == state


def test_the_program_does_not_take_a_bare_mount_point_for_the_tree(tree: Path) -> None:
    assert ask(tree, mount=str(tree))["state"] == "unmounted"


def test_the_program_says_what_is_not_there_and_what_is_no_directory(tree: Path) -> None:
    assert ask(tree / "none")["state"] == "absent"
    (tree / "link").symlink_to("ag")
    assert ask(tree / "link")["state"] == "unreadable"


@needs_root
def test_a_tree_lies_where_it_is_said_to_lie(tmp_path: Path) -> None:
    """No link leads out of the project root, not even root's own, and another file system is no part of it."""
    root, other = tmp_path / "root", tmp_path / "other"
    for place in (root / "data/v2-sessions", root / "groups", other / "v2-sessions/ag"):
        place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "t", str(root / "groups")], check=True)
    try:
        (root / "groups/main").mkdir()
        assert ask(root / "data/v2-sessions", within=str(root))["state"] == "there"
        found = ask(root / "groups", within=str(root))
        assert (found["state"], found["counts"]) == ("unreadable", {"EXDEV": 1})
        with pytest.raises(subprocess.CalledProcessError) as failed:
            ask(root / "groups", within=str(root), apply=True)
        assert "another file system is mounted there): the tree itself" in failed.value.stderr
        assert ask(root / "groups", apply=True)["counts"] == {"give": 2}
    finally:
        subprocess.run(["umount", str(root / "groups")], check=True)
    shutil.rmtree(root / "data")
    (root / "data").symlink_to(other)
    found = ask(root / "data/v2-sessions", within=str(root))
    assert found["state"] == "unreadable" and set(found["counts"]) <= {"ENOTDIR", "ELOOP"}
    with pytest.raises(subprocess.CalledProcessError):
        ask(root / "data/v2-sessions", within=str(root), apply=True)
    assert (other / "v2-sessions/ag").stat().st_uid == 0


@needs_root
def test_the_program_fails_where_an_entry_cannot_be_given(tree: Path) -> None:
    """An immutable file stands for a server that forbids it; the next run fails again, with the name."""
    stubborn = tree / "ag" / "stubborn"
    stubborn.write_text("")
    if subprocess.run(["chattr", "+i", stubborn], capture_output=True).returncode != 0:
        pytest.skip("no immutable files here")
    try:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            ask(tree, apply=True)
    finally:
        subprocess.run(["chattr", "-i", stubborn], check=True)
    assert "1 entries, EPERM" in caught.value.stderr and "ag/stubborn" in caught.value.stderr
    assert ask(tree)["counts"] == {"right": 5, "give": 1}


@needs_root
@pytest.mark.parametrize("anchor", [None, "/pods"], ids=["local", "nfs"])
def test_what_a_look_has_named_is_given_and_nothing_else(tree: Path, anchor: str | None) -> None:
    """Each is decided on anew: what has become another's, a link's other end or a second name stays as it is."""
    outside = tree.parent / "outside"
    outside.mkdir()
    for folder in (tree / "ag" / "sess", outside):
        for name in ("a\n\udcff", "gone", "theirs", "doubled"):
            (folder / name).write_text("")
    (tree / "ag" / "swapped" / "sess").mkdir(parents=True)
    (tree / "ag" / "swapped" / "sess" / "gone").write_text("")
    looked = ask(tree, anchor=anchor)
    session = tree / "ag" / "sess"
    (session / "gone").unlink()
    os.chown(session / "theirs", 7, 7)
    os.link(session / "doubled", outside / "other name")
    shutil.rmtree(tree / "ag" / "swapped")
    (tree / "ag" / "swapped").symlink_to(outside)
    (session / "later").write_text("")
    given = ask(tree, anchor=anchor, apply=True, names=looked["names"])
    assert given["names"] is None
    assert given["counts"]["give"] == looked["counts"]["give"] - 5  # gone, theirs, doubled, and two below the link
    assert os.lstat(session / "a\n\udcff").st_uid == os.lstat(session).st_uid == os.lstat(tree).st_uid == A
    assert os.lstat(session / "later").st_uid == 0
    assert {path.stat().st_uid for path in (outside, *outside.iterdir())} == {0}


@needs_root
def test_more_names_than_a_command_holds_are_not_told(tree: Path) -> None:
    for _ in range(400):
        (tree / os.urandom(100).hex()).write_text("")
    looked = ask(tree)
    assert looked["counts"]["give"] > 400 and looked["names"] is None
    assert ask(tree, apply=True, names=looked["names"])["counts"] == looked["counts"]


@needs_root
def test_the_names_of_all_trees_fit_in_one_command(tree: Path) -> None:
    """Those of each by itself would: the later tree is looked through again."""
    for name in ("one", "two"):
        (tree / name).mkdir()
        for _ in range(900):
            (tree / name / os.urandom(16).hex()).touch()
    places = [{"path": str(tree / name), "within": str(tree), "mount": None, "anchor": None} for name in ("one", "two")]
    asked = {"apply": False, "trees": [{**it, "uid": A, "gid": A, "uids": [0], "gids": [0, A]} for it in places]}
    words = [*entry_argv("trees.main"), json.dumps(asked)]
    reports = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["trees"]
    assert [len(unpacked(report["names"])) if report["names"] else None for report in reports] == [901, None]
    assert len(reports[0]["names"]) < LONGEST < 2 * len(reports[0]["names"])


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name)))
def test_names_in_one_word_are_the_same_names(names: list[bytes]) -> None:
    decoded = ["", *map(os.fsdecode, names)]
    word = packed(decoded, 1 << 30)
    assert word is not None and word.isascii() and unpacked(word) == decoded
    assert packed(decoded, len(word) - 1) is None
    assert unpacked(packed([]) or "") == []


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


def make(kind: str, at: Path) -> None:
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
def test_find_and_the_walk_say_the_same(tree: Path, names: list[str], anchor: str | None) -> None:
    """A look goes by find(1), over NFS by several; what is given by a walk: else a run promises what it does not do."""
    deep = tree / "ag" / "sess" / "a" / "b"
    deep.mkdir(parents=True)
    for name in names:
        for place in (tree, tree / "ag", deep):
            make(name, place / name)
    looked = ask(tree, anchor=anchor)
    walked = ask(tree, apply=True)
    assert (looked["counts"], looked["entries"]) == (walked["counts"], walked["entries"])
    for verdict in set(looked["counts"]) - {"give", "right"}:  # of those that are given, five are named
        if looked["counts"][verdict] <= 5:
            assert sorted(looked["samples"][verdict]) == sorted(walked["samples"][verdict])


@needs_root
def test_a_look_changes_no_times(tree: Path) -> None:
    before = times(tree)
    ask(tree)
    assert times(tree) == before
    ask(tree, apply=True)
    given = times(tree)
    assert all(given[path][0] > before[path][0] for path in before), "or else there was nothing to change"
    ask(tree)
    ask(tree, apply=True)
    assert times(tree) == given


def times(tree: Path) -> dict[Path, tuple[int, int]]:
    """When each entry was changed, and what is in it."""
    return {path: (path.lstat().st_ctime_ns, path.lstat().st_mtime_ns) for path in tree.rglob("*")}


@needs_root
def test_a_mount_in_the_tree_is_left_to_the_walk(tree: Path) -> None:
    """find(1) knows a bind mount of the same file system for a part of the tree."""
    (tree / "bound").mkdir()
    other = tree.parent / "other"
    other.mkdir()
    (other / "file").write_text("")
    places = {"path": str(tree), "within": str(tree), "mount": None, "anchor": None}
    asked = {**places, "uid": A, "gid": A, "uids": [0], "gids": [0, A]}
    words = [*entry_argv("trees.main"), json.dumps({"apply": False, "trees": [asked]})]
    mount = f"mount --bind {shlex.quote(str(other))} {shlex.quote(str(tree / 'bound'))} && {shlex.join(words)}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["trees"][0]["counts"]["elsewhere"] == 1


@needs_root
def test_what_vanishes_during_a_look_is_no_reason_to_walk(tree: Path) -> None:
    """NanoClaw makes and removes files all the time. More directories than one find is given, so that several run."""
    for number in range(250):
        (tree / "ag" / f"s{number}" / "outbox").mkdir(parents=True)
    come_and_go = "while :; do mkdir -p x/y/z && rm -r x ag/s9/outbox; mkdir ag/s9/outbox; done"
    with subprocess.Popen(["sh", "-c", come_and_go], cwd=tree, stderr=subprocess.DEVNULL) as busy:
        try:
            looks = [ask(tree, anchor="/pods") for _ in range(10)]
        finally:
            busy.kill()
    assert {look["state"] for look in looks} == {"there"}
    assert all(look["counts"]["give"] >= 500 for look in looks)


@needs_root
def test_sockets_are_given_where_the_project_root_lies(tree: Path) -> None:
    """One that root made is closed to a root that is squashed: nobody could talk to NanoClaw."""
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tree / "cli.sock"))
        assert ask(tree)["counts"] == {"give": 5, "special": 1}
        assert ask(tree, sockets=True)["counts"] == {"give": 6}
        ask(tree, sockets=True, apply=True)
        assert os.lstat(tree / "cli.sock").st_uid == A


@needs_root
@pytest.mark.parametrize("beneath", [False, True], ids=["find", "walk"])
def test_a_hundred_thousand_forged_owners_are_a_short_report(tree: Path, beneath: bool) -> None:
    """Under no_root_squash a container's root, or who forges uids, makes entries of any owner."""
    for number in range(3000):
        (tree / "ag" / "sess" / f"f{number}").touch()
        os.chown(tree / "ag" / "sess" / f"f{number}", 100_000 + number, 5)
    if beneath:
        (tree / "ag" / "point").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "t", tree / "ag" / "point"], check=True)
    try:
        report = ask(tree)
    finally:
        if beneath:
            subprocess.run(["umount", tree / "ag" / "point"], check=True)
    assert len(json.dumps(report)) < 10_000
    assert len(report["counts"]) <= 23 and sum(report["counts"].values()) == report["entries"] >= 3005
    assert report["counts"]["foreign others"] > 2900
    assert len(report["samples"]["foreign others"]) == 5
    assert report["counts"]["give"] == 5, "what is to be given is told, whatever is beside it"


@needs_root
@pytest.mark.parametrize("apply", [False, True])
def test_a_tree_that_grows_while_it_is_walked_ends_in_time_and_the_next_run_goes_on(tree: Path, apply: bool) -> None:
    for number in range(20_000):
        (tree / "ag" / "sess" / f"f{number}").touch()
    if apply:
        with pytest.raises(subprocess.CalledProcessError) as failed:
            ask(tree, apply=True, seconds=0.05)
        assert "no end of it after" in failed.value.stderr and "run again to go on" in failed.value.stderr
        report = json.loads([line for line in failed.value.stdout.splitlines() if line[:1] == "{"][-1])["trees"][0]
    else:
        report = ask(tree, seconds=0.02)
    assert (report["state"], report["names"]) == ("unfinished", None)
    assert report["entries"] < 20_005
    given = sum(path.lstat().st_uid == A for path in (tree / "ag" / "sess").iterdir())
    counted = report["counts"].get("give", 0) if apply else 0
    assert counted <= given <= counted + own_trees.BATCHED
    assert ask(tree, apply=True)["counts"]["give"] <= 20_005 - given
    assert {path.lstat().st_uid for path in (tree / "ag" / "sess").iterdir()} == {A}


def test_a_walk_that_meets_more_than_a_file_system_holds_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an agent moves ahead of find(1) is met again and again."""
    monkeypatch.setattr(own_trees, "SLACK", 5)
    monkeypatch.setattr(os, "fstatvfs", lambda _root: SimpleNamespace(f_files=100, f_ffree=90))
    found = own_trees.Found(-1, time.monotonic() + 60)
    found.add("right", "", 25)
    with pytest.raises(own_trees.EndlessError):
        found.add("right", "")
    monkeypatch.setattr(os, "fstatvfs", lambda _root: SimpleNamespace(f_files=0, f_ffree=0))
    own_trees.Found(-1, time.monotonic() + 60).add("right", "", 1 << 40)  # a file system that does not say


@needs_root
def test_no_find_is_left_running_where_a_walk_was_ended(tree: Path) -> None:
    for number in range(20_000):
        (tree / "ag" / "sess" / f"f{number}").touch()
    ask(tree, seconds=0.01, anchor="/pods")
    left = subprocess.run(["pgrep", "-af", "ignore_readdir_race"], capture_output=True, text=True).stdout
    cwds = [Path(f"/proc/{line.split()[0]}/cwd") for line in left.splitlines()]
    assert not [cwd for cwd in cwds if cwd.exists() and cwd.readlink() == tree]
