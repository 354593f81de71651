"""What a version of NanoClaw needs, read from its files; its marker, and the database that it leaves. Run for real."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from files.pods.service.onecli_health import onecli_health
from files.pods.service.protocol import Health
from files.pods.source import tmp_leftovers as tmp_files
from files.pods.source.build import check_sqlite
from files.pods.source.central_database import copies, make_copy, migrations
from files.pods.source.protocol import MarkerRequest, Needs, PreviousCheckout, RestoreRequest, VersionState
from files.pods.source.tmp_leftovers import leftovers, remove_leftovers
from tests.lab.standin_later import LATER
from tests.unit.source.source_host import OLD, Host

LATEST = LATER[-1]
NEEDS = {
    "v2.1.0": Needs("2.1.0", ">=20 <25", None, False, False, True),
    "v2.1.17": Needs("2.1.17", ">=20 <25", None, True, False, True),
    "v2.1.54": Needs("2.1.54", ">=20 <25", None, True, False, True),
    "v2.3.0": Needs("2.3.0", ">=22", 13, True, False, True, driver=True),
    "v2.4.0": Needs("2.4.0", ">=22", 13, False, True, True, driver=True),
    "v2026.10.0": Needs("2026.10.0", ">=22", 13, False, True, True, driver=True),
}
JOURNAL = "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, name TEXT, applied TEXT);"


def database(root: Path, *names: str) -> Path:
    """A central database with these migrations, which a service that runs has open, with what is in its log alone."""
    path = root / "data/v2.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(JOURNAL)
        connection.executemany("INSERT INTO schema_version (name) VALUES (?)", [(name,) for name in names])
        connection.commit()
    return path


@pytest.mark.parametrize(("tag", "needs"), NEEDS.items())
def test_the_needs_of_a_version_are_known_before_it_is_fetched(host: Host, tag: str, needs: Needs) -> None:
    host.check_out(OLD)
    before = host.git("rev-list", "--all", "--objects")
    state = host.look(tag, peek=True)
    assert state.version.needs and replace(state.version.needs, skills=()) == needs
    assert host.git("rev-list", "--all", "--objects") == before, "the fact fetches nothing into the checkout"
    assert host.look(tag).version == VersionState(), "a fact that must not fetch does not know"


def clone(host: Host, ref: str) -> str:
    """Check out a version as NanoClaw's own setup does; return its commit."""
    argv = ["git", "clone", "--quiet", "--branch", ref, str(host.repository), str(host.root)]
    subprocess.run(argv, check=True, capture_output=True)
    return host.git("rev-parse", "HEAD")


@pytest.mark.parametrize("peek", [True, False])
def test_a_checkout_that_the_role_has_not_made_is_known_with_its_version(host: Host, peek: bool) -> None:
    head = clone(host, "v2.1.17")
    assert host.look(OLD, peek=peek).version.previous == PreviousCheckout("2.1.17", "v2.1.17")
    host.git("tag", "--delete", "v2.1.17")
    assert host.look(OLD, peek=peek).version.previous == PreviousCheckout("2.1.17", head)
    assert host.look(head, peek=peek).version.previous is None, "nothing moves"


def test_a_commit_on_top_of_a_release_is_named_by_itself(host: Host) -> None:
    clone(host, "v2.1.17")
    (host.root / "package.json").write_text("{}")
    host.git("-c", "user.name=a", "-c", "user.email=a@lab.invalid", "commit", "--quiet", "--all", "-m", "mine")
    head = host.git("rev-parse", "HEAD")
    assert host.look(OLD).version.previous == PreviousCheckout(None, head)
    (host.root / "package.json").write_text('{"version": "2.9.9"}')
    assert host.look(OLD).version.previous == PreviousCheckout(None, head), "what is committed counts"


def test_a_checkout_that_the_role_has_made_goes_back_also_before_its_first_build(host: Host) -> None:
    host.check_out("v2.1.0")
    assert host.look(OLD, peek=True).version.previous is None
    host.check_out(OLD)
    assert host.head == OLD and host.look("v2.1.0").version.previous is None


def test_a_checkout_that_was_adopted_goes_back(host: Host) -> None:
    clone(host, OLD)
    assert host.fetch("v2.1.0").returncode == 0
    assert host.look("v2.1.0").version.previous == PreviousCheckout("2.0.64", OLD), "a fetch adopts nothing yet"
    assert host.move("v2.1.0").returncode == 0
    assert host.look(OLD).version.previous is None
    assert host.status == []


@pytest.mark.parametrize("name", ["nanoclaw-pods-build", "nanoclaw-pods-database", "nanoclaw-pods-moving"])
def test_a_checkout_with_an_earlier_file_of_the_role_is_its_own(host: Host, name: str) -> None:
    clone(host, "v2.1.0")
    (host.root / ".git" / name).write_text("")
    assert host.look(OLD).version.previous is None


def test_an_old_version_is_known_by_its_number_and_its_slug(host: Host) -> None:
    host.release("v1.2.53", {"package.json": '{"version": "1.2.53"}'})
    needs = host.look("v1.2.53", peek=True).version.needs
    assert needs and (needs.version, needs.slug) == ("1.2.53", False)
    host.release("v0.1.0", {"package.json": '{"version": "0.1.0"}', "src/install-slug.ts": "export {};\n"})
    needs = host.look("v0.1.0", peek=True).version.needs
    assert needs and (needs.version, needs.slug) == ("0.1.0", True)


def test_nothing_of_a_look_is_left(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    needs = host.look(LATEST, peek=True).version.needs
    assert needs and needs.version == LATEST.removeprefix("v")
    assert not host.root.exists() and list((tmp_path / "tmp").iterdir()) == []


def test_a_first_checkout_is_judged_once_it_is_fetched(host: Host) -> None:
    assert host.look(LATEST).version.needs is None
    assert host.fetch(LATEST).returncode == 0
    needs = host.look(LATEST).version.needs
    assert needs and needs.version == LATEST.removeprefix("v")


def test_what_is_changed_here_and_stays_counts(host: Host) -> None:
    """A gateway that its skill has put into the checkout."""
    host.check_out(LATEST)
    installed = host.root / "src/gateway-providers/installed.ts"
    needs = host.look(LATEST).version.needs
    assert needs and needs.gateway
    installed.write_text("/** */\nimport './onecli.js';\n")
    needs = host.look(LATEST).version.needs
    assert needs and not needs.gateway
    host.release("v2.4.1", {"src/gateway-providers/index.ts": "import './installed.js';\n"})
    assert host.fetch("v2.4.1").returncode == 0


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("", True),
        ("// import './onecli.js';\n", True),
        ("/*\nimport './onecli.js';\n*/\n", True),
        ("import './onecli.js';\n", False),
        ('  import "./iron.js"\n', False),
        ("import { thing } from './x.js';\n", True),
        ("import './gateway-provider-registry.js';\nimport './installed.js';\n", True),
        ("import './gateway-provider-registry.js';\nimport './onecli.js';\n", False),
    ],
)
def test_a_gateway_is_an_import_that_registers_one(host: Host, text: str, lacks: bool) -> None:
    host.check_out(LATEST)
    (host.root / "src/gateway-providers/installed.ts").write_text(text)
    needs = host.look(LATEST).version.needs
    assert needs and needs.gateway == lacks


def test_a_version_with_a_gateway_in_its_core_needs_none(host: Host) -> None:
    host.release("v2.3.9", {"src/gateway-providers/installed.ts": "import './onecli.js';\n"})
    needs = host.look("v2.3.9", peek=True).version.needs
    assert needs and not needs.gateway


@pytest.mark.parametrize("text", ["", "[]", "{", '{"engines": []}', '{"dependencies": 3}', "null"])
def test_a_package_file_that_says_nothing_is_unknown(host: Host, text: str) -> None:
    host.check_out(OLD)
    (host.root / "package.json").write_text(text)
    state = host.look(OLD).version
    assert state.needs is None or state.needs.node is None


def test_changed_files_of_image_and_agents_are_noticed(host: Host) -> None:
    host.check_out("v2.1.0")
    state = host.look("v2.1.17", peek=True).version
    assert (state.lock_changed, state.container_changed) == (True, True)
    same = host.look("v2.0.65", peek=True).version
    assert (same.lock_changed, same.container_changed) == (False, False)


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="not on this machine: node")


@needs_node
def test_a_marker_is_needed_set_and_needed_again_once_head_moved(host: Host) -> None:
    host.check_out("v2.1.0")
    assert "is not there" in host.look("v2.1.0").version.unmarked
    mark(host)
    assert host.look("v2.1.0").version.unmarked == ""
    state = json.loads((host.root / "data/upgrade-state.json").read_text())
    assert (state["version"], state["via"]) == ("2.1.0", "nanoclaw-pods")
    host.check_out("v2.1.17")
    assert "is of 2.1.0, and 2.1.17 is checked out" in host.look("v2.1.17").version.unmarked
    mark(host)
    host.git("-c", "user.name=a", "-c", "user.email=a@lab.invalid", "commit", "--quiet", "--allow-empty", "-m", "mine")
    head = host.git("rev-parse", "HEAD")
    assert host.look(head).version.unmarked == "data/upgrade-state.json was not set since HEAD moved"


@needs_node
def test_a_marker_of_another_commit_is_set_again(host: Host) -> None:
    host.check_out("v2.3.0")
    mark(host)
    marker = host.root / "data/upgrade-state.json"
    assert host.look("v2.3.0").version.unmarked == ""
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "tree": "0" * 40}))
    assert host.look("v2.3.0").version.unmarked == "data/upgrade-state.json is of another commit"
    marker.write_text("[]")
    assert "cannot be read" in host.look("v2.3.0").version.unmarked


def mark(host: Host) -> None:
    """What upgrade_marker does, without pnpm: the programs find that in the service's PATH only."""
    script = host.root / "scripts/upgrade-state.js"
    subprocess.run(["node", str(script), "set", "", "nanoclaw-pods"], cwd=host.root, check=True, capture_output=True)
    (host.root / ".git/nanoclaw-pods-marked").write_text(host.git("rev-parse", "HEAD") + "\n")


def test_an_earlier_version_needs_no_marker(host: Host) -> None:
    host.check_out(OLD)
    state = host.look(OLD).version
    assert (state.unmarked, state.needs and state.needs.marker) == ("", False)
    done = host.run(MarkerRequest)
    assert done.returncode == 0, done.stderr
    assert not (host.root / "data/upgrade-state.json").exists()


def test_a_marker_needs_a_version_that_is_checked_out(host: Host) -> None:
    host.check_out("v2.1.0")
    for text in ("[]", "{"):
        (host.root / "package.json").write_text(text)
        done = host.run(MarkerRequest)
        why = f"{host.root}: git or package.json does not say which version is checked out\n"
        assert (done.returncode, done.stderr) == (1, why)


def test_a_marker_that_cannot_be_set_fails(host: Host) -> None:
    """Without a build there is no tsx, and on most machines of developers no pnpm."""
    host.check_out("v2.1.0")
    done = host.run(MarkerRequest)
    assert done.returncode != 0 and "scripts/upgrade-state.ts" in done.stderr and "Traceback" not in done.stderr
    assert not (host.root / ".git/nanoclaw-pods-marked").exists()


def test_the_database_is_copied_before_a_move_with_what_is_in_its_log(host: Host) -> None:
    host.check_out(OLD)
    path = database(host.root, "first")
    with closing(sqlite3.connect(path)) as service:
        service.execute("INSERT INTO schema_version (name) VALUES ('in the log')")
        service.commit()
        assert host.fetch("v2.0.65").returncode == 0
        done = host.move("v2.0.65")
        assert done.returncode == 0, done.stderr
    (kept,) = copies(str(host.root))
    assert done.stdout == f"copied data/v2.db to {host.root}/.git/nanoclaw-pods-database/{kept['file']}\n"
    assert (kept["version"], kept["migrations"]) == ("2.0.64", ["first", "in the log"])
    copy = host.root / ".git/nanoclaw-pods-database" / kept["file"]
    assert copy.stat().st_mode & 0o777 == 0o600 and copy.parent.stat().st_mode & 0o777 == 0o700
    assert host.status == []


def test_a_database_that_cannot_be_copied_stops_the_move(host: Host) -> None:
    host.check_out(OLD)
    (host.root / "data/v2.db").write_text("no database")
    assert host.fetch("v2.0.65").returncode == 0
    done = host.move("v2.0.65")
    assert "nothing was moved" in done.stderr
    assert host.head == OLD
    state = host.look("v2.0.65").version.database
    assert state and "not a database" in state.error


def test_a_link_in_the_place_of_the_database_is_not_followed(host: Host, tmp_path: Path) -> None:
    host.check_out(OLD)
    (host.root / "data/v2.db").symlink_to(database(tmp_path, "somebody's"))
    assert host.fetch("v2.0.65").returncode == 0
    assert "is no regular file" in host.move("v2.0.65").stderr
    assert not (host.root / ".git/nanoclaw-pods-database").exists()


def test_a_lower_version_sees_what_a_later_one_has_migrated_and_the_copy_that_fits(host: Host) -> None:
    host.check_out(OLD)
    database(host.root)
    host.check_out("v2.1.17")
    with closing(sqlite3.connect(host.root / "data/v2.db")) as connection:
        connection.execute("INSERT INTO schema_version (name) VALUES ('messaging-group-instance')")
        connection.commit()
    assert host.look("v2.1.17").version.database == host.look("v2.3.0", peek=True).version.database
    now = host.look("v2.1.17").version.database
    assert now and now.newer == [] and now.copy and now.copy.version == "2.0.64"
    for ref, peek in ((OLD, False), ("v2.1.0", True)):
        lower = host.look(ref, peek=peek).version.database
        assert lower and lower.newer == ["messaging-group-instance"] and lower.copy == now.copy


def test_what_a_channel_has_added_here_is_known(host: Host) -> None:
    host.check_out(OLD)
    database(host.root, "module-of-a-channel")
    (host.root / "src/channel.ts").write_text("export const migration = { name: 'module-of-a-channel' };\n")
    for ref in (OLD, "v2.0.65"):
        state = host.look(ref, peek=True).version.database
        assert state and state.newer == []


def test_a_database_that_is_there_before_the_first_checkout_is_judged_by_it(host: Host) -> None:
    """One that was brought along: sources beside it are no release's, and nothing is known of them yet."""
    database(host.root, "messaging-group-instance", "of-a-channel")
    (host.root / "src").mkdir()
    (host.root / "src/channel.ts").write_text("export const migration = { name: 'of-a-channel' };\n")
    for ref, newer in (("v2.1.17", ["of-a-channel"]), ("v2.1.0", ["messaging-group-instance", "of-a-channel"])):
        state = host.look(ref, peek=True).version
        assert state.database and (state.database.newer, state.database.copy) == (newer, None)
        assert (state.lock_changed, state.container_changed) == (None, None)


def test_a_look_at_a_database_leaves_nothing_beside_it(host: Host) -> None:
    host.check_out(OLD)
    database(host.root, "first")
    before = sorted(path.name for path in (host.root / "data").iterdir())
    host.look(OLD)
    assert sorted(path.name for path in (host.root / "data").iterdir()) == before == ["v2.db"]


def test_a_copy_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut leaves the copies before, or a whole new one."""
    database(tmp_path, "first")
    events, fsync, rename = [], os.fsync, os.rename

    def record_fsync(fd: int) -> None:
        events.append(f"fsync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        fsync(fd)

    def record_rename(old: str, new: str) -> None:
        assert Path(old).stat().st_size > 0
        events.append(f"rename {Path(old).name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    copy = make_copy(str(tmp_path), "0123456789abcdef", "2")
    assert copy == f"{tmp_path}/.git/nanoclaw-pods-database/0123456789ab.db"
    files = [f"{what} 0123456789ab.db{end}.new" for what in ("fsync", "rename") for end in ("", ".json")]
    assert events == [*files, "fsync nanoclaw-pods-database"]


@pytest.mark.parametrize("beside", ["-wal", "-journal"])
def test_log_of_a_service_that_was_killed_is_applied_to_the_copy(tmp_path: Path, beside: str) -> None:
    """Nothing has opened the database since: SQLite recovers it for the copy."""
    names = [f"m{number}" for number in range(200)]
    path = database(tmp_path / "service", *names)
    with closing(sqlite3.connect(path, isolation_level=None)) as service:
        service.execute(f"PRAGMA journal_mode = {'WAL' if beside == '-wal' else 'DELETE'}")
        service.execute("UPDATE schema_version SET applied = ?", ("x" * 1000,))
        service.execute("PRAGMA cache_size = 1")
        if beside == "-journal":
            service.execute("BEGIN")  # and never committed
        service.execute("UPDATE schema_version SET name = 'later ' || name")
        (tmp_path / "root/data").mkdir(parents=True)
        for end in ("", beside):
            shutil.copyfile(f"{path}{end}", tmp_path / f"root/data/v2.db{end}")
    copy = make_copy(str(tmp_path / "root"), "c0ffee", "2")
    assert copy and migrations(copy) == [f"later {name}" if beside == "-wal" else name for name in names]


def test_only_the_newest_copies_stay(tmp_path: Path) -> None:
    database(tmp_path, "first")
    for number in range(8):
        make_copy(str(tmp_path), f"{number:040d}"[::-1], "2")
    assert [kept["commit"][0] for kept in copies(str(tmp_path))] == ["7", "6", "5", "4", "3"]
    assert len(list((tmp_path / ".git/nanoclaw-pods-database").iterdir())) == 10


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin/systemctl"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return tmp_path / "calls"


def test_the_copy_comes_back_and_what_it_replaces_is_kept(host: Host, systemctl: Path) -> None:
    host.check_out(OLD)
    path = database(host.root, "first")
    host.check_out("v2.1.17")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO schema_version (name) VALUES ('messaging-group-instance')")
        connection.commit()
        (kept,) = copies(str(host.root))
        done = host.run(RestoreRequest, file=kept["file"])
    assert done.returncode == 0, done.stderr
    assert systemctl.read_text() == "stop n.service\n"
    assert migrations(str(path)) == ["first"]
    assert not list((host.root / "data").glob("v2.db-*"))
    replaced, _before = copies(str(host.root))
    assert replaced["migrations"] == ["first", "messaging-group-instance"]
    assert path.stat().st_mode & 0o777 == 0o644
    kept_copy = host.root / ".git/nanoclaw-pods-database" / replaced["file"]
    assert kept_copy.stat().st_mode & 0o777 == 0o600
    assert done.stdout == f"the present database is kept as {kept_copy}\n"


def test_database_stays_while_the_service_does_not_stop(host: Host, systemctl: Path) -> None:
    host.check_out(OLD)
    path = database(host.root, "first")
    host.check_out("v2.1.17")
    (kept,) = copies(str(host.root))
    (systemctl.parent / "bin/systemctl").write_text("#!/bin/sh\necho busy >&2\nexit 1\n")
    done = host.run(RestoreRequest, file=kept["file"])
    assert done.returncode == 1
    assert done.stderr == "n.service does not stop, so its database was not changed: busy\n\n"
    assert migrations(str(path)) == ["first"] and len(copies(str(host.root))) == 1


def test_broken_copy_does_not_come_back(host: Host, systemctl: Path) -> None:
    host.check_out(OLD)
    path = database(host.root, *(f"migration-{number:04}" for number in range(500)))
    host.check_out("v2.1.17")
    (kept,) = copies(str(host.root))
    copy = host.root / ".git/nanoclaw-pods-database" / kept["file"]
    content = copy.read_bytes()
    copy.write_bytes(content[:4096] + bytes(len(content) - 4096))
    done = host.run(RestoreRequest, file=kept["file"])
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{copy} is not whole" in done.stderr or "was not changed" in done.stderr
    assert len(migrations(str(path))) == 500


@pytest.mark.parametrize("file", ["missing.db", "../../data/v2.db", "link.db"])
def test_nothing_but_a_copy_comes_back(host: Host, systemctl: Path, file: str) -> None:
    host.check_out(OLD)
    path = database(host.root, "first")
    place = host.root / ".git/nanoclaw-pods-database"
    place.mkdir()
    (place / "link.db").symlink_to(path)
    assert "is no copy of the database" in host.run(RestoreRequest, file=file).stderr
    assert migrations(str(path)) == ["first"]


class OneCli(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/v1/health": 200, "/old/v1/health": 404, "/moved/v1/health": 302}.get(self.path, 500)
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def onecli() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), OneCli)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("path", "status"), [("", 200), ("/", 200), ("/old", 404), ("/moved/", 302), ("/odd", 500)])
def test_the_health_of_onecli_is_requested(tmp_path: Path, onecli: str, path: str, status: int) -> None:
    (tmp_path / ".env").write_text(f"ONECLI_URL=http://user:secret@{onecli}{path}\n")
    assert onecli_health(str(tmp_path), None) == Health(f"http://{onecli}", status, "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "file:///etc/passwd", "http://[::1", "http://h:99999999", "x"])
def test_a_failed_health_request_is_reported_without_its_secret(tmp_path: Path, url: str) -> None:
    state = onecli_health(str(tmp_path), url)
    assert state and state.status is None and state.error


@pytest.mark.parametrize(
    ("url", "place", "error"),
    [
        ("file:///etc/passwd", "ONECLI_URL", "it is no URL of http or https"),
        ("https:///v1", "ONECLI_URL", "it is no URL of http or https"),
        ("http://[::1", "ONECLI_URL", "it is no URL"),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1", "[Errno 111] Connection refused"),
    ],
)
def test_unknown_health_has_its_reason(tmp_path: Path, url: str, place: str, error: str) -> None:
    assert onecli_health(str(tmp_path), url) == Health(place, None, error)


def test_without_a_url_no_health_is_requested(tmp_path: Path) -> None:
    assert onecli_health(str(tmp_path), None) is None


def test_health_is_requested_where_the_version_needs_it(host: Host, onecli: str) -> None:
    host.check_out("v2.1.0")
    (host.root / ".env").write_text(f"ONECLI_URL=http://{onecli}/old\n")
    assert host.look("v2.0.65", peek=True).version.health is None
    state = host.look("v2.1.17", peek=True).version.health
    assert state and state.status == 404
    state = host.look("v2.1.17", peek=True, onecli=f"http://{onecli}").version.health
    assert state and state.status == 200


@pytest.mark.skipif(os.getuid() != 0, reason="gives files to another user")
def test_files_of_fixed_names_of_the_old_host_user_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tmp_files, "TMP", str(tmp_path))
    for name, uid in (("onecli-proxy-ca.pem", 4242), ("onecli-other.pem", 33), ("mine.pem", 4242)):
        (tmp_path / name).write_text("")
        os.chown(tmp_path / name, uid, uid)
    (tmp_path / "onecli-link.pem").symlink_to("/etc/passwd")
    os.chown(tmp_path / "onecli-link.pem", 4242, 4242, follow_symlinks=False)
    assert leftovers(4242) == [f"{tmp_path}/onecli-proxy-ca.pem"]
    remove_leftovers(4242)
    note = f"removed {tmp_path}/onecli-proxy-ca.pem of uid 4242: NanoClaw writes it again\n"
    assert capsys.readouterr().out == note
    monkeypatch.setattr(tmp_files, "leftovers", lambda _uid: [str(tmp_path)])  # what unlink(2) refuses
    remove_leftovers(4242)
    assert capsys.readouterr().out.startswith(f"{tmp_path} of uid 4242 stays: [Errno ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.pem", "onecli-link.pem", "onecli-other.pem"]


@needs_node
@pytest.mark.parametrize(
    ("text", "text_of_error"),
    [
        ("module.exports = class { close() {} };", None),
        ("module.exports = class { constructor() { process.kill(process.pid, 'SIGSEGV'); } };", "signal 11"),
        ("throw new Error('compiled against another Node');", "status 1"),
    ],
)
def test_a_node_that_cannot_open_a_database_ends_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, text_of_error: str | None
) -> None:
    package = tmp_path / "node_modules/better-sqlite3"
    package.mkdir(parents=True)
    (package / "index.js").write_text(text)
    if text_of_error is None:
        check_sqlite(str(tmp_path))
        return
    with pytest.raises(SystemExit, match=text_of_error) as failure:
        check_sqlite(str(tmp_path))
    assert "The service was not touched" in str(failure.value)
