"""The program for exports, run for real in a mount namespace, with stand-ins for exportfs and nfsconf."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from files.pods.common import read_text as reading
from files.pods.nfs import export_change, export_entries
from files.pods.nfs import server as nfs_service
from files.pods.nfs.export_state import ExportState
from files.pods.nfs.protocol import EXPORT_OPTIONS, ExportChange, ExportChangeRequest, ExportsRequest
from tests.builders import one_host
from tests.programs import request_argv
from tests.unit.nfs.nfs_tools import EXPORTFS, NFSCONF

DROPIN = "/etc/exports.d/nanoclaw-pods.exports"
CONF = "/etc/nfs.conf.d/nanoclaw-pods.conf"
OPTIONS = [*EXPORT_OPTIONS, "all_squash", "anonuid=1000", "anongid=1000"]
OSLO = ["/srv/pods/oslo", "10.0.0.2", *OPTIONS]
THEIRS = "/srv/films\t10.0.0.0/24(ro,sync,no_subtree_check)\n"

NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "t", "/mnt"]).returncode != 0,
    reason="needs root and mount namespaces",
)

_SETUP = """
mount -t tmpfs t /mnt; cp -a /etc /mnt/etc; mount --bind /mnt/etc /etc
mount -t tmpfs t /srv; mount -t tmpfs t /run; mount -t tmpfs t /var/lib; mkdir /var/lib/nfs
rm -rf /etc/exports /etc/exports.d /etc/nfs.conf /etc/nfs.conf.d; mkdir /etc/exports.d /etc/nfs.conf.d /mnt/bin
mkdir -p /srv/pods/oslo /srv/pods/bergen /srv/films; ln -s pods/oslo /srv/link
touch /mnt/calls /mnt/faults /var/lib/nfs/etab
export PATH=/mnt/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def line(path: str, client: str, *options: str, host: str = "oslo") -> str:
    return f"# {host}\n{path} {client}({','.join(options)})\n"


@dataclass
class Server:
    """A server with these files, and what is in its table."""

    files: dict[str, str] = field(default_factory=dict)
    setup: str = ":"
    etab: str = ""
    calls: list[str] = field(default_factory=list)
    dropin: str | None = None
    faults: str = ""

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on it; afterwards `etab`, `calls` and `dropin` are what they are then."""
        files = {"/var/lib/nfs/etab": self.etab, "/mnt/faults": self.faults, **self.files}
        if self.dropin is not None:
            files[DROPIN] = self.dropin
        tools = {"exportfs": EXPORTFS, "nfsconf": NFSCONF}
        script = ["set -e", _SETUP]
        script.append(f"ln -s {shlex.quote(os.path.realpath(sys.executable))} /mnt/bin/python3")
        for name, text in tools.items():
            script.append(f"printf %s {shlex.quote(f'#!/mnt/bin/python3 -IS{chr(10)}{text}')} > /mnt/bin/{name}")
            script.append(f"chmod 755 /mnt/bin/{name}")
        script += [f"printf %s {shlex.quote(text)} > {shlex.quote(name)}" for name, text in files.items()]
        script += [self.setup, "set +e", command, "status=$?", "set -e"]
        script += [f"echo; echo ---; cat /var/lib/nfs/etab || :; echo ---; cat /mnt/calls; echo ---; cat {DROPIN} || :"]
        script += ["exit $status"]
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        output, etab, calls, dropin = done.stdout.split("---\n")
        self.etab, self.calls, self.dropin = etab, calls.splitlines(), dropin or None
        return subprocess.CompletedProcess(argv, done.returncode, output, done.stderr)

    def read(self, *directories: str) -> ExportState:
        request = ExportsRequest(DROPIN, CONF, "/mnt/tried", list(directories))
        done = self.run(shlex.join(request_argv(request)))
        assert done.returncode == 0, done.stderr
        return TypeAdapter(ExportState).validate_json(done.stdout.splitlines()[0])

    def change(self, text: str, *desired: list[str], unset: list[list[str]] | None = None) -> str:
        """Changes the exports; what it says, or nothing where it went well."""
        before = None if self.dropin is None else hashlib.sha256(self.dropin.encode()).hexdigest()
        removed = [(path, client) for path, client in unset or []]
        return self.send(ExportChange(text, before, list(desired), removed))

    def send(self, change: ExportChange) -> str:
        command = shlex.join(request_argv(ExportChangeRequest(DROPIN)))
        done = self.run(f"printf %s {shlex.quote(json.dumps(asdict(change)))} | {command}")
        assert (done.returncode == 0) == (done.stderr == ""), (done.returncode, done.stderr)
        return done.stderr

    @property
    def table(self) -> list[list[str]]:
        return export_entries.entries(self.etab, {})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"text": "", "before": None, "desired": []}, "nfs.exports.removed is missing"),
        ({"text": "", "before": 1, "desired": [], "removed": []}, "nfs.exports.before is int, not str"),
    ],
)
def test_change_with_a_wrong_field_changes_nothing(change: dict[str, object], why: str) -> None:
    argv = request_argv(ExportChangeRequest(DROPIN))
    done = subprocess.run(argv, input=json.dumps(change), capture_output=True, text=True)
    assert done.returncode != 0 and why in done.stderr


@NEEDS_ROOT
def test_only_our_entry_is_changed_and_never_the_whole_table() -> None:
    server = Server(etab=THEIRS)
    assert server.change(line(*OSLO), OSLO) == ""
    assert OSLO in server.table and THEIRS in server.etab
    assert server.dropin == line(*OSLO)
    assert server.calls == [f"-i -o {','.join(OPTIONS)} 10.0.0.2:/srv/pods/oslo"]


@NEEDS_ROOT
def test_what_is_right_already_is_not_touched() -> None:
    server = Server(etab=THEIRS)
    bergen = ["/srv/pods/bergen", "fd00::3", *OPTIONS]
    server.change(line(*OSLO), OSLO)
    assert server.change(line(*OSLO) + line(*bergen), OSLO, bergen) == ""
    assert server.calls == [f"-i -o {','.join(OPTIONS)} [fd00::3]:/srv/pods/bergen"]
    assert server.change(line(*OSLO) + line(*bergen) + "# more\n", OSLO, bergen) == ""
    assert server.calls == []


@NEEDS_ROOT
def test_an_entry_that_squashes_otherwise_is_changed_and_one_that_goes_is_taken() -> None:
    server = Server(etab=THEIRS)
    weak = [*OSLO[:2], *EXPORT_OPTIONS, "no_root_squash"]
    bergen = ["/srv/pods/bergen", "10.0.0.3", *OPTIONS]
    assert server.change(line(*weak) + line(*bergen), weak, bergen) == ""
    assert (
        server.change(line(*OSLO), OSLO, unset=[["/srv/pods/bergen", "10.0.0.3"], ["/srv/pods/no", "10.0.0.4"]]) == ""
    )
    assert server.calls[-1] == "-u 10.0.0.3:/srv/pods/bergen"
    assert [entry[:2] for entry in server.table] == [["/srv/films", "10.0.0.0/24"], OSLO[:2]] and OSLO in server.table


@NEEDS_ROOT
def test_many_entries_with_the_same_options_take_few_commands() -> None:
    many = [["/srv/pods/oslo", f"10.0.{number // 250}.{number % 250}", *OPTIONS] for number in range(1, 251)]
    server = Server()
    assert server.change("".join(line(*entry) for entry in many), *many) == ""
    assert len(server.calls) == 3 and len(server.table) == 250


OTHER_FILES = {
    "a warning": "/srv/films 10.0.0.5(ro)\n",
    "an unplugged disk": "/srv/unplugged 10.0.0.5(ro,no_subtree_check)\n",
    "a name that is unknown": "/srv/films nas.lan(ro,no_subtree_check)\n",
    "no client": "/srv/films (ro)\n",
    "a syntax error": "/srv/films 10.0.0.5(ro,wrong)\n/srv/films 10.0.0.6(ro)\n",
}


@NEEDS_ROOT
@pytest.mark.parametrize("case", OTHER_FILES)
@pytest.mark.parametrize("name", ["/etc/exports", "/etc/exports.d/a.exports", "/etc/exports.d/zz.exports"])
def test_what_exportfs_says_of_another_file_does_not_block_ours(case: str, name: str) -> None:
    server = Server(files={name: OTHER_FILES[case]}, etab=THEIRS)
    assert server.change(line(*OSLO), OSLO) == ""
    assert OSLO in server.table and THEIRS in server.etab


REFUSED = {
    "an unknown option": (line(*OSLO[:2], "rw", "wrong"), "unknown keyword"),
    "the world": ("/srv/pods/oslo (rw,no_subtree_check)\n" + line(*OSLO), "No host name given"),
    "no desired entry": (
        "# empty\n",
        "exportfs would not apply these entries as written: [['/srv/pods/oslo'",
    ),
    "other options": (
        line(*OSLO[:2], "rw", "no_subtree_check", "no_root_squash"),
        "would not apply these entries as written",
    ),
    "an export of others": (
        line(*OSLO) + "/srv/films 10.0.0.7(ro,no_subtree_check)\n",
        "exports of others would change",
    ),
}


@NEEDS_ROOT
@pytest.mark.parametrize("case", REFUSED)
def test_a_drop_in_that_a_rehearsal_refuses_changes_nothing(case: str) -> None:
    text, why = REFUSED[case]
    old = line("/srv/pods/bergen", "10.0.0.3", *OPTIONS)
    for dropin in (None, old):
        server = Server(etab=THEIRS, dropin=dropin)
        output = server.change(text, OSLO)
        assert output.startswith("Exports not changed: ") and why in output
        assert (server.etab, server.dropin, server.calls) == (THEIRS, dropin, [])


@NEEDS_ROOT
def test_a_message_of_our_own_file_is_never_taken_for_anothers() -> None:
    """Of the old drop-in exportfs says the same: that is no reason to take it."""
    bad = line(*OSLO) + "/srv/pods/bergen 10.0.0.3(rw)\n"
    server = Server(dropin=bad)
    assert f"{DROPIN} [3]" in server.change(bad, OSLO)
    assert server.calls == []


def test_options_of_the_role_are_read_back_as_they_are_stated() -> None:
    """Else every run would find a difference, and refuse its own change."""
    (export,) = one_host().servers["nfs1"].exports
    assert export_entries.stated_options(",".join(export.options)) == list(export.options)


FAULTS = {
    "weakens": repr([*OSLO[:2], *EXPORT_OPTIONS, "all_squash"])[:-1],
    "refuses": "Function not implemented",
    "takes": "an export of others changed: bring it back with exportfs -i -o ro,sync,no_subtree_check '10.0.0.0/24:/",
}


@NEEDS_ROOT
@pytest.mark.parametrize("fault", FAULTS)
def test_a_change_that_does_not_take_is_undone_and_named(fault: str) -> None:
    old = [*OSLO[:2], *EXPORT_OPTIONS, "root_squash"]
    etab = f"/srv/pods/oslo\t10.0.0.2({','.join(EXPORT_OPTIONS)},root_squash)\n"
    server = Server(etab=THEIRS + etab, dropin=line(*old), faults=fault)
    output = server.change(line(*OSLO), OSLO)
    assert output.startswith("Exports restored: ") and FAULTS[fault] in output
    assert server.dropin == line(*old)
    assert old in server.table


@NEEDS_ROOT
def test_a_first_export_that_does_not_take_leaves_nothing() -> None:
    server = Server(faults="refuses")
    assert "Function not implemented" in server.change(line(*OSLO), OSLO)
    assert (server.table, server.dropin) == ([], None)


@NEEDS_ROOT
def test_an_entry_that_does_not_go_is_named_and_comes_back_in_the_file() -> None:
    bergen = ["/srv/pods/bergen", "10.0.0.3", *OPTIONS]
    server = Server()
    server.change(line(*bergen), bergen)
    server.faults = "keeps"
    assert "10.0.0.3:/srv/pods/bergen is still in force" in server.change(line(*OSLO), OSLO, unset=[bergen[:2]])
    assert server.dropin == line(*bergen)
    assert bergen in server.table


@NEEDS_ROOT
def test_a_directory_that_is_missing_is_an_error_of_ours() -> None:
    server = Server(setup="rmdir /srv/pods/oslo")
    assert "Failed to stat /srv/pods/oslo" in server.change(line(*OSLO), OSLO)
    assert (server.dropin, server.calls) == (None, [])


@NEEDS_ROOT
def test_a_drop_in_that_another_run_wrote_meanwhile_is_not_overwritten() -> None:
    theirs = line("/srv/pods/bergen", "10.0.0.3", *OPTIONS)
    server = Server(dropin=theirs)
    for before in (None, "0" * 64):
        output = server.send(ExportChange(line(*OSLO), before, [OSLO], []))
        assert "another run wrote" in output and (server.dropin, server.calls) == (theirs, [])


@NEEDS_ROOT
def test_what_cannot_be_read_is_not_taken_for_absent() -> None:
    server = Server(setup=f"mkdir {DROPIN}")
    read = shlex.join(request_argv(ExportsRequest(DROPIN, CONF, "/mnt/tried", [])))
    assert "IsADirectoryError" in server.run(read).stderr


@NEEDS_ROOT
def test_a_directory_that_a_link_leads_to_is_known_by_our_name() -> None:
    linked = ["/srv/link", "10.0.0.2", *OPTIONS]
    server = Server()
    assert server.change(line(*linked), linked) == ""
    state = server.read("/srv/link")
    assert state.table == [linked]
    assert state.real == {"/srv/link": "/srv/pods/oslo"}
    assert state.own == [["/srv/link", "10.0.0.2"]]
    assert server.change(line(*linked) + "# more\n", linked) == "" and server.calls == []
    assert server.change("# none\n", unset=[linked[:2]]) == "" and server.table == []


ELSEWHERE = {
    "/srv/pods/oslo/ 10.0.0.2(ro)": [["/srv/pods/oslo", "10.0.0.2"]],
    '"/srv/pods/oslo" 10.0.0.2(ro)': [["/srv/pods/oslo", "10.0.0.2"]],
    '/srv/"pods"/oslo 10.0.0.2': [["/srv/pods/oslo", "10.0.0.2"]],
    "/srv/link 10.0.0.2(ro)": [["/srv/pods/oslo", "10.0.0.2"]],
    "/srv/../srv/pods//oslo 10.0.0.2(ro)": [["/srv/pods/oslo", "10.0.0.2"]],
    "/srv/pods/\\157slo 10.0.0.2(ro)": [["/srv/pods/oslo", "10.0.0.2"]],
    "/srv/a\\040b NAS.Lan(ro)": [["/srv/a b", "nas.lan"]],
    '"/srv/a b" *.LAN(ro) @Group(ro)': [["/srv/a b", "*.lan"], ["/srv/a b", "@Group"]],
    "/srv/x -ro,sync FD00:0::02 [fd00::3] # more": [["/srv/x", "fd00::2"], ["/srv/x", "fd00::3"]],
    "/srv/x 10.1.0.0/255.255.0.0(ro) 10.2.3.4/16": [["/srv/x", "10.1.0.0/16"], ["/srv/x", "10.2.0.0/16"]],
    "/srv/x \\\n  10.0.0.2(ro)": [["/srv/x", "10.0.0.2"]],
    "/srv/x": [["/srv/x", "*"]],
    "/srv/x (ro)": [["/srv/x", "*"]],
    "/srv/x *(ro) gss/krb5P(ro)": [["/srv/x", "*"], ["/srv/x", "gss/krb5P"]],
    "# /srv/x 10.0.0.2": [],
}


@NEEDS_ROOT
@pytest.mark.parametrize("text", ELSEWHERE)
def test_what_other_files_define_is_read_in_one_spelling(text: str) -> None:
    name = "/etc/exports.d/site.exports"
    state = Server(files={name: f"{text}\n"}).read("/srv/pods/oslo")
    assert state.elsewhere == [[name, *entry] for entry in ELSEWHERE[text]]


@NEEDS_ROOT
def test_the_table_in_force_is_read_in_one_spelling() -> None:
    etab = "/srv/a\\040b\tFD00::0:2(rw,fsid=0)\n/srv/x\t[fd00::3](ro)\n/srv/y\tNAS.lan(async,insecure,all_squash)\n"
    etab += "/srv/z\t<world>(ro,fsid=root)\n"
    state = Server(etab=etab).read()
    assert [entry[:2] for entry in state.table] == [
        ["/srv/a b", "fd00::2"],
        ["/srv/x", "fd00::3"],
        ["/srv/y", "nas.lan"],
        ["/srv/z", "*"],
    ]
    options = state.table[2][2:]
    assert options[:5] == ["ro", "async", "no_subtree_check", "sec=sys", "insecure"]
    assert options[-1] == "all_squash" and len(options) == len(EXPORT_OPTIONS) + 1
    assert state.roots == [["/srv/a b", "fd00::2"], ["/srv/z", "*"]]


@NEEDS_ROOT
def test_directories_are_read_without_following_links() -> None:
    state = Server(setup="chmod 0750 /srv/pods/oslo; touch /srv/file").read(
        "/srv/pods/oslo", "/srv/link", "/srv/file", "/no"
    )
    kinds = {path: it.kind for path, it in state.directories.items()}
    assert kinds == {"/srv/pods/oslo": "directory", "/srv/link": "link", "/srv/file": "file", "/no": "absent"}
    oslo = state.directories["/srv/pods/oslo"]
    assert (oslo.uid, oslo.gid, oslo.mode) == (0, 0, "0750")


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("exit 0", ""),
        ("printf 'no \\377 such export\\n' >&2; exit 1", "no \ufffd such export"),
        ("exit 3", "exportfs -u: status 3"),
        ("sleep 30", "exportfs -u did not end within 1 s"),
    ],
)
def test_an_exportfs_that_fails_is_a_reason_whatever_it_says(
    script: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path of others may be no UTF-8: what was changed until then is still put back."""
    tool(tmp_path / "exportfs", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(export_change, "EXPORTFS_SECONDS", 1)
    assert export_change.exportfs("-u", "10.0.0.2:/srv/films") == output


@pytest.mark.parametrize(
    ("script", "place"),
    [
        ('[ "$*" = "--get mountd state-directory-path" ] && echo /srv/state', "/srv/state"),
        ('[ "$*" = "--get exportd state-directory-path" ] && echo " /srv/other "', "/srv/other"),
        ("echo relative", "/var/lib/nfs"),
        ("echo /srv/state; exit 1", "/var/lib/nfs"),
        (None, "/var/lib/nfs"),
    ],
)
def test_the_table_of_exports_lies_where_nfsconf_says(
    script: str | None, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script:
        tool(tmp_path / "nfsconf", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert export_change.state_directory() == place


def tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@NEEDS_ROOT
def test_who_decides_on_nfsv3_is_what_nfsconf_says_of_each_file() -> None:
    folder = "/etc/nfs.conf.d"
    files = {
        f"{folder}/a.conf": "[nfsd]\nvers3=yes\n",
        f"{folder}/z10.conf": "[nfsd]\n vers3 = N\n",
        f"{folder}/z9.conf": "[nfsd]\nvers3=1\n",
        f"{folder}/threads.conf": "[nfsd]\nthreads=4\n",
    }
    state = Server(files=files).read()
    names = [(f"{folder}/a.conf", True), (CONF, None), (f"{folder}/z9.conf", True), (f"{folder}/z10.conf", False)]
    assert state.v3_files == names
    assert Server(files={**files, CONF: "[nfsd]\nvers3=n\n"}).read().v3_files[1] == (CONF, False)
    assert Server().read().v3 is None
    assert Server(files={CONF: "[nfsd]\nvers3=n\n"}).read().v3 is False
    assert Server(files={CONF: "[nfsd]\nvers3=n\n"}).read().basis != Server().read().basis


@NEEDS_ROOT
def test_a_machine_without_nfs_utils_is_read_all_the_same() -> None:
    state = Server(setup="rm /mnt/bin/[en]* /var/lib/nfs/etab").read("/srv/pods/oslo")
    assert (state.table, state.v3, state.clients, state.active, state.threads) == ([], None, [], False, 0)


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (("1", "t", "true", "y", "yes", "on", "Yes", "TRUE"), True),
        (("0", "f", "false", "n", "no", "off", "No", "OFF"), False),
        (("", "2", "maybe"), None),
    ],
)
def test_booleans_of_nfs_conf_are_those_of_nfs_utils(texts: tuple[str, ...], value: bool | None) -> None:
    """conf_get_bool() of nfs-utils; anything else leaves the default."""
    assert {text: nfs_service.yes(text) for text in texts} == dict.fromkeys(texts, value)


def test_who_mounted_with_nfsv3_is_read_from_rmtab() -> None:
    text = "10.0.0.2:/srv/pods/oslo:0x00000001\nfd00::2:/srv/x:0x00000001\nNAS.lan:/y:0x2\nnonsense\n"
    assert nfs_service.mounted_by(text) == [
        ["/srv/pods/oslo", "10.0.0.2"],
        ["/srv/x", "fd00::2"],
        ["/y", "nas.lan"],
    ]


INFO = 'clientid: 0x6\naddress: "{}"\nstatus: confirmed\nname: "Linux NFSv4.2 oslo\\naddress: x"\nminor version: 2\n'


def test_connected_clients_are_what_the_kernel_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nfsd = tmp_path / "nfsd"
    monkeypatch.setattr(nfs_service, "NFSD", str(nfsd))
    tcp = {
        "/proc/net/tcp": "head\n 0: 0100000A:0801 0500000A:03E7 01 x\n 1: 0100000A:0801 00000000:0000 0A x\n"
        " 2: 0100000A:0016 0700000A:03E7 01 x\n",
        "/proc/net/tcp6": "head\n 0: 0:0801 0000000000000000FFFF00000900000A:03E7 01 x\n"
        " 1: 0:0801 000000FD000000000000000003000000:03E7 01 x\n",
    }
    monkeypatch.setattr(nfs_service, "read_text_or_none", lambda name: tcp.get(name) or reading.read_text_or_none(name))
    monkeypatch.setattr(sys, "byteorder", "little")
    assert nfs_service.connected() == [], "no server runs"
    nfsd.mkdir()
    (nfsd / "threads").write_text("8\n")
    assert nfs_service.connected() is None, "a kernel before 5.3"
    for number, address in enumerate(("10.0.0.2:799", "[fd00::2]:799", "[::ffff:10.0.0.3]:799")):
        (nfsd / "clients" / str(number)).mkdir(parents=True)
        (nfsd / "clients" / str(number) / "info").write_text(INFO.format(address))
    assert nfs_service.connected() == ["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.9", "fd00::2", "fd00::3"]
