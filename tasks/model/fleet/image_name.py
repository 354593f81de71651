"""Image references by the grammar of distribution/reference, which Docker reads them with."""

import ipaddress
import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::([0-9]+))?")
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{64}")

LENGTH = 255
"""Characters of a name without tag and digest."""


@dataclass(frozen=True)
class Reference:
    """A reference, taken apart. Empty: the part is not there."""

    domain: str
    path: str
    tag: str
    digest: str

    @property
    def pins(self) -> bool:
        """Whether its digest is one of SHA-256, so that it names one image for ever."""
        return _SHA256.fullmatch(self.digest) is not None


def parse(text: str) -> Reference | None:
    """The parts of a reference, or None if it is none."""
    name, at, digest = text.partition("@")
    if at and not (_DIGEST.fullmatch(digest) and len(text) < 2 * LENGTH):
        return None
    if digest.startswith("sha256:") and not _SHA256.fullmatch(digest):
        return None
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        return None
    name = f"{head}{slash}{last}"
    domain, path = _split(name)
    if not _PATH.fullmatch(path) or len(name) > LENGTH or _ID.fullmatch(name):
        return None
    if domain and not _is_domain(domain):
        return None
    return Reference(domain, path, tag, digest)


def _split(name: str) -> tuple[str, str]:
    """The domain and the path: a first part is a domain if it cannot be one of a path, or is localhost."""
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or re.search(r"[.:\[A-Z]", first)):
        return first, rest
    return "", name


def _is_domain(text: str) -> bool:
    match = _DOMAIN.fullmatch(text)
    if match is None or (match[2] is not None and not 0 < int(match[2][:6]) <= 65_535):
        return False
    if not text.startswith("["):
        return True
    try:
        ipaddress.IPv6Address(match[1][1:-1])
    except ValueError:
        return False
    return True
