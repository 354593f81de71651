"""The controller's package mirror, as apt sources for another Debian release."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.shell import call

MIRROR_VARIABLE = "NANOCLAW_PODS_MIRROR"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Source:
    """One suite of one archive."""

    uri: str
    suite: str


def one_line_sources(text: str) -> Iterator[Source]:
    """Yield the binary archives of a `sources.list`."""
    for line in text.splitlines():
        fields = line.split("#")[0].split()
        if not fields or fields[0] != "deb":
            continue
        rest = fields[1:]
        if rest and rest[0].startswith("["):
            end = next((n for n, word in enumerate(rest) if word.endswith("]")), None)
            rest = rest[end + 1 :] if end is not None else []
        if len(rest) >= 2:
            yield Source(rest[0].rstrip("/"), rest[1])


def deb822_sources(text: str) -> Iterator[Source]:
    """Yield the binary archives of a `*.sources` file."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(lines).split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri.rstrip("/"), suite)


def controller_sources(etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """Return every binary archive of the controller's apt."""
    sources: list[Source] = []
    lists = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            sources.extend(one_line_sources(path.read_text()))
    for path in sorted((etc_apt / "sources.list.d").glob("*.sources")):
        sources.extend(deb822_sources(path.read_text()))
    return sources


def os_codename(os_release: str) -> str:
    """Return the codename in the text of /etc/os-release, or an empty string."""
    for line in os_release.splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip('"')
    return ""


def lab_sources(sources: Iterable[Source], codename: str, suite: str) -> list[str]:
    """Return lines of a `sources.list` for `suite`, from the mirrors of the controller's own suite.

    Only a Debian mirror works. On another system the variable NANOCLAW_PODS_MIRROR names one.
    """
    if mirror := os.environ.get(MIRROR_VARIABLE):
        return [f"deb {mirror} {suite} main"]
    lines: list[str] = []
    for part in ("", "-updates", "-security"):
        for source in sources:
            if source.suite == codename + part and "debian" in source.uri:
                lines.append(f"deb {source.uri} {suite}{part} main")
                break
    if not lines or not lines[0].endswith(f"{suite} main"):
        raise LabError(
            f"no Debian mirror in this machine's apt sources: set {MIRROR_VARIABLE} to one, "
            "as in NANOCLAW_PODS_MIRROR=http://MIRROR/debian"
        )
    return lines


def download(name: str, sources: Iterable[str], folder: Path) -> Path:
    """Download a package, with its signature checked, without the controller's own lists; return its path."""
    lists = folder / "sources.list"
    lists.write_text("".join(f"{line.replace('deb ', f'deb [signed-by={KEYRING}] ', 1)}\n" for line in sources))
    state = {"Dir::State::Lists": folder / "lists", "Dir::Cache": folder / "cache"}
    for path in (state["Dir::State::Lists"] / "partial", state["Dir::Cache"] / "archives/partial"):
        path.mkdir(parents=True)
    settings = {"Dir::Etc::SourceList": lists, "Dir::Etc::SourceParts": "/dev/null", **state}
    apt = ["env", "-C", str(folder), "apt-get", "-q", *(f"-o{key}={value}" for key, value in settings.items())]
    call([*apt, "-oAcquire::Languages=none", "update"], timeout=120)
    call([*apt, "-oAPT::Sandbox::User=root", "download", name], timeout=600)
    return next(folder.glob(f"{name}_*.deb"))
