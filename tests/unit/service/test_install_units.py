"""NanoClaw's unit files, which systemd accepts or refuses."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from files.pods.service import install_units
from files.pods.service.protocol import InstallUnitsRequest

UNIT = "nanoclaw-v2-00000000.service"
Systemd = Callable[..., None]


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The calls that copy the lists of one host user to another."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(install_units, "copy_allowlist", lambda *who: calls.append(who))
    return calls


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Replace systemd: it has loaded the unit, or has not."""

    def answers(before: str, after: str = "loaded", complaint: str = "") -> None:
        def run(*args: str) -> subprocess.CompletedProcess[str]:
            output = {"--property=LoadState,User": before, "--value": after}
            return subprocess.CompletedProcess(args, 0, output.get((*args, "", "")[2], ""))

        monkeypatch.setattr(install_units, "run", run)
        monkeypatch.setattr(install_units, "complaints", lambda *_files: [complaint] if complaint else [])

    return answers


def install(monkeypatch: pytest.MonkeyPatch, path: Path, text: str = "new") -> None:
    request = InstallUnitsRequest("nanoclaw", 1000, 1000, UNIT)
    monkeypatch.setattr("sys.argv", [request.entry, json.dumps(request.document())])
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({str(path): text})))
    install_units.main()


@pytest.mark.parametrize(
    ("before", "ran_as"),
    [
        ("LoadState=loaded\nUser=\n", 0),
        ("LoadState=loaded\nUser=root\n", 0),
        ("LoadState=loaded\nUser=of-nobody\n", None),
        ("LoadState=not-found\nUser=\n", None),
    ],
)
def test_user_of_a_unit_is_read_from_systemd(systemd: Systemd, before: str, ran_as: int | None) -> None:
    systemd(before)
    assert install_units.runs_as(UNIT) == ran_as


def test_new_host_user_gets_the_allowlist_of_the_one_before(
    systemd: Systemd, copied: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    systemd("LoadState=loaded\nUser=\n")
    install(monkeypatch, tmp_path / UNIT)
    assert copied == [(0, "nanoclaw", 1000, 1000)]
    assert (tmp_path / UNIT).read_text() == "new"


def test_first_unit_copies_no_allowlist(
    systemd: Systemd, copied: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    systemd("LoadState=not-found\nUser=\n")
    install(monkeypatch, tmp_path / UNIT)
    assert copied == []


@pytest.mark.parametrize(("after", "complaint"), [("bad-setting", ""), ("loaded", "Unknown key")])
def test_refused_unit_is_rolled_back(
    systemd: Systemd,
    copied: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    after: str,
    complaint: str,
) -> None:
    (tmp_path / UNIT).write_text("old")
    systemd("LoadState=loaded\nUser=nobody\n", after, complaint)
    with pytest.raises(SystemExit, match=complaint or "was restored"):
        install(monkeypatch, tmp_path / UNIT)
    assert (tmp_path / UNIT).read_text() == "old"
