"""How values of host data are shown in an error: short, printable, and never one that could be a secret."""

import re
import reprlib
from typing import Any

from tasks.model.sanitize import printable

_limited = reprlib.Repr()
_limited.maxstring = _limited.maxother = 80

_SECRET_PARTS = frozenset(
    (
        *("SECRET", "SECRETS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "PASSCODE", "APIKEY", "APITOKEN"),
        *("CREDENTIAL", "CREDENTIALS", "TOKEN", "BEARER", "COOKIE", "AUTHTOKEN", "ACCESSKEY"),
        *("PRIVATEKEY", "SECRETKEY"),
    )
)
_SECRET_ENDINGS = frozenset({"KEY", "PASS", "PWD", "PAT", "AUTH", "OAUTH", "JWT", "DSN", "AUTHORIZATION", "WEBHOOK"})
_ENDS = ("PASSWORD", "PASSWD", "TOKEN", "SECRET", "APIKEY")
"""Ends of names that are written as one word, such as PGPASSWORD."""
_POINTERS = frozenset(
    (
        *("FILE", "PATH", "DIR", "NAME", "LIMIT", "LIMITS", "COUNT", "MAX", "MIN", "TTL", "LENGTH", "SIZE", "TIMEOUT"),
        *("EXPIRY", "BUDGET", "ENABLED", "REQUIRED", "HOST", "PORT", "PREFIX", "TYPE", "INTERVAL", "SOCK", "POLICY"),
        *("URL", "URI", "ENDPOINT", "ISSUER", "AUDIENCE", "SCOPE", "SCOPES", "PARALLELISM", "ALGORITHM", "HEADER"),
    )
)
"""Last words of names that say something about a secret, and do not hold it."""

_VALUES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\bsk-[A-Za-z0-9_-]{16,}|\b[sr]k_(live|test)_[A-Za-z0-9]{10,}|\bgh[opusr]_[A-Za-z0-9]{20,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}|\bgl(pat|rt|dt)-[A-Za-z0-9_-]{16,}|\bxox[a-z]-[A-Za-z0-9-]{10,}"
    r"|\bxapp-[A-Za-z0-9-]{10,}|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}"
    r"|\bSG\.[A-Za-z0-9_-]{16,}\.|\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b|\bdop_v1_[a-f0-9]{32,}"
    r"|\b[MNO][A-Za-z0-9_-]{22,28}\.[A-Za-z0-9_-]{5,8}\.[A-Za-z0-9_-]{25,}"
    r"|(?i:\b(bearer|basic) [A-Za-z0-9._~+/=-]{16,})|://[^/\s:@]*:[^/\s@]+@"
    r"|hooks\.slack\.com/services/|discord(app)?\.com/api/webhooks/"
)


def limited(value: Any) -> str:
    """A value in a few characters, whatever it is; an integer of thousands of digits has no decimal form."""
    try:
        text = _limited.repr(value)
    except Exception:
        text = f"a value of type {type(value).__name__}"
    return printable(text)


def key_shown(key: Any) -> str:
    """A key of host data: as it is where it is plain text, as Python writes it otherwise."""
    if isinstance(key, str) and re.fullmatch(r"[\w.-]{1,80}", key, re.ASCII):
        return key
    return ascii(key)[:80] if isinstance(key, str) else limited(key)


def sounds_secret(text: str) -> bool:
    """Whether one of its words is a name that a secret would have, or a value that looks like one."""
    return any(_secret_name(word) for word in re.findall(r"\w+", text)) or _VALUES.search(text) is not None


def holds_secret(value: str) -> bool:
    """Whether a value looks like a secret, or states one behind its name. A word such as token alone is no secret."""
    return any(map(_secret_name, re.findall(r"(\w+)['\"]?[=:]", value))) or _VALUES.search(value) is not None


def _secret_name(name: str) -> bool:
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper().split("_")
    name_parts = [part.rstrip("0123456789") or part for part in parts if part and not part.isdigit()]
    if not name_parts or name_parts[-1] in _POINTERS:
        return False
    if (
        _SECRET_PARTS & set(name_parts)
        or name_parts[-1].endswith(_ENDS)
        or "API_KEY" in "_".join(name_parts)
        or name_parts[-1] in _SECRET_ENDINGS - {"PWD", "WEBHOOK"}
    ):
        return True
    return len(name_parts) > 1 and name_parts[-1] in _SECRET_ENDINGS
