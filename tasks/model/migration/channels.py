"""The channel of a chat of NanoClaw v1, by the form of its name (setup/migrate-v2/shared.ts of 2.0.64)."""

CHANNELS = frozenset(
    {"discord", "gchat", "github", "imessage", "linear", "matrix", "resend", "slack", "teams", "telegram", "webex"}
    | {"whatsapp", "whatsapp-cloud"}
)
"""The channels that NanoClaw v2 has."""

_PREFIXES = {"dc": "discord", "tg": "telegram", "wa": "whatsapp", "mx": "matrix", "im": "imessage"}
_WHATSAPP = frozenset({"s.whatsapp.net", "g.us", "lid", "broadcast", "newsletter"})


def channel_of(jid: str) -> str | None:
    """Return the channel of a chat, as v2 names it; None if v2 does not know it."""
    if "@" in jid and jid.rpartition("@")[2].lower() in _WHATSAPP:
        return "whatsapp"
    prefix, colon, name = jid.partition(":")
    prefix = prefix.lower()
    return (_PREFIXES.get(prefix, prefix) or None) if colon and name else None
