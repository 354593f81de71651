from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.apt import Source, controller_sources, deb822_sources, lab_sources, one_line_sources, os_codename
from tests.lab.errors import LabError

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.test/debian/
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm

Types: deb-src
URIs: http://source.test/debian
Suites: bookworm
"""


def test_deb822_stanzas() -> None:
    assert list(deb822_sources(DEB822)) == [
        Source("http://mirror.test/debian", "bookworm"),
        Source("http://mirror.test/debian", "bookworm-updates"),
        Source("http://mirror.test/debian-security", "bookworm-security"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://m.test/debian bookworm main", [Source("http://m.test/debian", "bookworm")]),
        ("deb [arch=amd64] http://m.test/debian bookworm main", [Source("http://m.test/debian", "bookworm")]),
        (
            "deb [ arch=amd64 signed-by=/k.gpg ] http://m.test/debian/ bookworm main contrib # why",
            [Source("http://m.test/debian", "bookworm")],
        ),
        ("deb-src http://m.test/debian bookworm main", []),
        ("# deb http://m.test/debian bookworm main", []),
        ("deb [arch=amd64 http://m.test/debian", []),
        ("", []),
    ],
)
def test_one_line(line: str, expected: list[Source]) -> None:
    assert list(one_line_sources(line)) == expected


def test_all_files_are_read(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.test/debian bookworm main\n")
    (parts / "b.list").write_text("deb http://b.test/debian bookworm main\n")
    (parts / "c.sources").write_text("Types: deb\nURIs: http://c.test/debian\nSuites: bookworm\n")
    (parts / "ignored.save").write_text("deb http://d.test/debian bookworm main\n")
    assert [source.uri[7] for source in controller_sources(tmp_path)] == ["a", "b", "c"]


def test_the_controllers_mirror_serves_another_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NANOCLAW_PODS_MIRROR", raising=False)
    foreign = Source("http://vendor.test/debian-tools", "nodistro")
    assert lab_sources([foreign, *deb822_sources(DEB822)], "bookworm", "trixie") == [
        "deb http://mirror.test/debian trixie main",
        "deb http://mirror.test/debian trixie-updates main",
        "deb http://mirror.test/debian-security trixie-security main",
    ]


def test_a_system_without_debian_mirror_gets_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NANOCLAW_PODS_MIRROR", raising=False)
    ubuntu = [Source("http://archive.test/ubuntu", "noble")]
    with pytest.raises(LabError, match="NANOCLAW_PODS_MIRROR"):
        lab_sources(ubuntu, "noble", "trixie")
    monkeypatch.setenv("NANOCLAW_PODS_MIRROR", "http://mine.test/debian")
    assert lab_sources(ubuntu, "noble", "trixie") == ["deb http://mine.test/debian trixie main"]


def test_codename() -> None:
    assert os_codename('NAME="Debian"\nVERSION_CODENAME=bookworm\n') == "bookworm"
    assert os_codename("NAME=Other\n") == ""
