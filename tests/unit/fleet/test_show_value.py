"""What of host data an error shows, and which names and values are taken for secrets."""

from __future__ import annotations

import pytest

from tasks.model.fleet.show_value import holds_secret, key_shown, limited, sounds_secret
from tasks.model.sanitize import printable

SECRET = """
    SECRET SECRETS PASSWORD PASSWORDS PASSWD PASSPHRASE PASSCODE APIKEY APITOKEN CREDENTIAL CREDENTIALS TOKEN BEARER
    COOKIE AUTHTOKEN ACCESSKEY PRIVATEKEY SECRETKEY
"""
SECRET_AT_THE_END = "KEY PASS PAT AUTH OAUTH JWT DSN AUTHORIZATION"
SECRET_OF_SOMETHING = "PWD WEBHOOK"
ABOUT_A_SECRET = """
    FILE PATH DIR NAME LIMIT LIMITS COUNT MAX MIN TTL LENGTH SIZE TIMEOUT EXPIRY BUDGET ENABLED REQUIRED HOST PORT
    PREFIX TYPE INTERVAL SOCK POLICY URL URI ENDPOINT ISSUER AUDIENCE SCOPE SCOPES PARALLELISM ALGORITHM HEADER
"""
VALUES = [
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "sk-abcdefghij0123456789",
    *("sk_live_abcdef0123", "rk_test_abcdef0123"),
    *(f"gh{kind}_abcdefghij0123456789" for kind in "opusr"),
    "github_pat_abcdefghij0123456789",
    *("glpat-abcdefghij012345", "glrt-abcdefghij012345", "gldt-abcdefghij012345"),
    *("xoxb-0123456789", "xapp-0123456789"),
    *("AKIAABCDEFGHIJ012345", "ASIAABCDEFGHIJ012345"),
    "AIzaabcdefghij0123456789abcdefghij",
    "ya29.abcdefghij0123456789",
    "eyJhbGciOiJI.eyJzdWIi.x",
    "hf_abcdefghij0123456789",
    "npm_abcdefghij0123456789abcdefghij",
    "SG.abcdefghij012345.x",
    "123456789:abcdefghij0123456789abcdefghij01234",
    "dop_v1_0123456789abcdef0123456789abcdef",
    "MTIzNDU2Nzg5MDEyMzQ1Njc4.Gabcde.abcdefghij0123456789abcde",
    *("Basic YWRhOmdlaGVpbWdlaGVpbQ==", "bearer abcdefghij012345"),
    *("postgres://ada:geheim@db/x", "redis://:geheim@cache"),
    *("https://hooks.slack.com/services/T0/B0", "https://discord.com/api/webhooks/1", "discordapp.com/api/webhooks/1"),
]


@pytest.mark.parametrize("word", SECRET.split())
def test_a_name_with_a_secrets_word_in_it_sounds_secret(word: str) -> None:
    for name in (word, f"{word}_OF_SITE", f"MY_{word}", word.lower(), f"{word}_2", f"{word}2", f"my{word.title()}"):
        assert sounds_secret(name), name


@pytest.mark.parametrize("word", SECRET_AT_THE_END.split())
def test_a_name_that_ends_in_a_secrets_word_sounds_secret(word: str) -> None:
    assert sounds_secret(word) and sounds_secret(f"MY_{word}") and sounds_secret(f"my{word.title()}")
    assert not sounds_secret(f"{word}_OF_SITE"), "it is not what the name says last"


@pytest.mark.parametrize("word", SECRET_OF_SOMETHING.split())
def test_a_word_that_is_secret_only_of_something(word: str) -> None:
    assert sounds_secret(f"MY_{word}") and not sounds_secret(word) and not sounds_secret(f"{word}_OF_SITE")


@pytest.mark.parametrize("name", ["PGPASSWORD", "SMBPASSWD", "MYTOKEN", "MYSECRET", "MYAPIKEY", "MY_API_KEY_OF_SITE"])
def test_a_secrets_word_within_one_word_sounds_secret(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize("word", ABOUT_A_SECRET.split())
def test_a_name_that_says_something_about_a_secret_is_none(word: str) -> None:
    assert not sounds_secret(f"TOKEN_{word}") and not sounds_secret(f"token{word.title()}") and not sounds_secret(word)


@pytest.mark.parametrize("name", ["", "_", "2", "_2_", "TZ", "KEYBOARD", "AUTHOR", "SIZE_OF_KEYS", "MAX_TOKENS"])
def test_other_names_do_not_sound_secret(name: str) -> None:
    assert not sounds_secret(name)


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_a_secrets_form_is_one_wherever_it_stands(value: str) -> None:
    for text in (value, f"see {value}", f"'{value}'"):
        assert holds_secret(text) and sounds_secret(text)


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("token=1", True),
        ("a: b, PASSWORD: x", True),
        ('{"api_key": "x"}', True),
        ("{'token'='x'}", True),
        ("nanoclaw:token,nanoclaw:auth", False),
        ("the token", False),
        ("token_file=/x", False),
        ("http://proxy.example.org:3128", False),
        ("https://ada@git.example.org/a", False),
        ("sk-short", False),
        ("12:30", False),
        ("", False),
    ],
)
def test_a_value_states_a_secret_behind_its_name(value: str, secret: bool) -> None:
    assert holds_secret(value) is secret


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("nanoclaw_ref", "nanoclaw_ref"),
        ("a.b-c", "a.b-c"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "'" + "x" * 79),
        ("a b", "'a b'"),
        ("é", "'\\xe9'"),
        ("", "''"),
        (7, "7"),
        (("a", 1), "('a', 1)"),
    ],
)
def test_a_key_is_shown_as_python_writes_it_where_it_is_no_plain_word(key: object, shown: str) -> None:
    assert key_shown(key) == shown


def test_a_value_is_shown_in_a_few_characters() -> None:
    assert limited(10**5000) == "a value of type int"
    assert limited("x" * 78) == "'" + "x" * 78 + "'"
    assert limited("x" * 79) == "'" + "x" * 37 + "..." + "x" * 38 + "'"
    assert len(limited(type("Own", (), {"__repr__": lambda _self: "y" * 1000})())) == 80


@pytest.mark.parametrize(("text", "shown"), [("a é", "a é"), ("a\n\x1b[1m\u2028", "a\\n\\x1b[1m\\u2028")])
def test_what_a_terminal_would_obey_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
