"""Verification of what comes from elsewhere: the key of NodeSource, the package of pnpm."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.machine.protocol import InstallPnpmRequest, TrustKeyRequest
from files.pods.machine.trust_key import fingerprint_of, packets
from files.pods.source.checkout import pinned
from tasks.bundle import PODS
from tasks.model.host.runtime import NODESOURCE_KEY
from tests.programs import request_argv


def packet(kind: int, body: bytes) -> bytes:
    return bytes([0xC0 | kind, 255]) + len(body).to_bytes(4, "big") + body


KEY = packet(6, b"\x04" + b"k" * 300)
USER, SIGNATURE, SUBKEY = packet(13, b"NodeSource"), packet(2, b"s" * 80), packet(14, b"\x04" + b"j" * 300)
WHOLE = KEY + USER + SIGNATURE + SUBKEY + SIGNATURE
FINGERPRINT = hashlib.sha1(b"\x99\x01\x2d\x04" + b"k" * 300, usedforsecurity=False).hexdigest().upper()


def armoured(data: bytes) -> bytes:
    body = base64.encodebytes(data).decode()
    text = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n{body}=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
    return text.encode()


def trust(tmp_path: Path, data: bytes, fingerprint: str = FINGERPRINT) -> subprocess.CompletedProcess[str]:
    (tmp_path / "key.new").write_bytes(data)
    argv = request_argv(TrustKeyRequest(str(tmp_path / "key.new"), str(tmp_path / "key"), fingerprint))
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("data", [WHOLE, armoured(WHOLE)], ids=["binary", "armour"])
def test_known_key_is_trusted(tmp_path: Path, data: bytes) -> None:
    done = trust(tmp_path, data)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "key").read_bytes() == data and not (tmp_path / "key.new").exists()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "data",
    [
        packet(6, b"\x04" + b"x" * 300) + USER,
        KEY + USER + packet(6, b"\x04" + b"x" * 300),
        armoured(WHOLE) + armoured(packet(6, b"\x04" + b"x" * 300)),
        KEY + packet(11, b"what is this"),
        packet(6, b"\x05" + b"k" * 300),
        KEY[:-1],
        USER,
        b"",
        b"<html>502</html>",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n%%%\n-----END PGP PUBLIC KEY BLOCK-----\n",
    ],
    ids=["another", "two", "two blocks", "other data", "version", "cut off", "no key", "empty", "a page", "no base64"],
)
def test_another_key_or_extra_data_is_not_trusted(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(b"the one before")
    done = trust(tmp_path, data)
    assert done.returncode != 0 and f"{FINGERPRINT} is expected" in done.stderr
    assert (tmp_path / "key").read_bytes() == b"the one before" and not (tmp_path / "key.new").exists()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is not one block of ASCII armour"),
        (armoured(WHOLE) + b"-----", "it is not one block of ASCII armour"),
        (b"-----" + armoured(WHOLE), "it is not one block of ASCII armour"),
        (KEY + b"\x00", "it is no OpenPGP data"),
        (bytes([0x80 | 6 << 2 | 3]) + b"x", "a packet has no length"),
        (bytes([0xC6]), "a packet has no length"),
        (bytes([0xC6, 254]), "a packet has no length"),
        (KEY[:-1], "it is cut off"),
        (KEY + packet(11, b"x"), "it holds a packet of type 11"),
        (KEY + KEY, "it holds 2 keys, and one of version 4 is expected"),
        (packet(6, b"\x05"), "it holds 1 keys, and one of version 4 is expected"),
    ],
)
def test_download_that_is_no_key_has_its_reason(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        fingerprint_of(data)


@given(st.binary(max_size=60))
def test_any_download_is_a_key_or_a_plain_error(data: bytes) -> None:
    for text in (data, bytes([0xC6]) + data, bytes([0x99]) + data, armoured(data)):
        try:
            assert len(fingerprint_of(text)) == 40
        except ValueError:
            continue


@given(st.sampled_from([0, 1, 191, 192, 8383, 8384, 70_000]))
def test_packet_lengths_are_parsed_in_each_form(length: int) -> None:
    body = b"x" * length
    forms = [bytes([0xC2, 255]) + length.to_bytes(4, "big"), bytes([0x80 | 2 << 2 | 2]) + length.to_bytes(4, "big")]
    if length < 192:
        forms += [bytes([0xC2, length]), bytes([0x88, length])]
    elif length < 8384:
        forms += [bytes([0xC2, (length - 192 >> 8) + 192, length - 192 & 255])]
    for form in forms:
        assert list(packets(form + body)) == [(2, body)]


@pytest.mark.parametrize("first", [bytes([0xC2, 255]), bytes([0x80 | 2 << 2 | 2])], ids=["new form", "old form"])
@pytest.mark.parametrize("octet", range(4))
def test_every_octet_of_a_packet_length_counts(first: bytes, octet: int) -> None:
    """A packet that says more than there is ends the file, however little its last octets say."""
    length = bytearray(4)
    length[octet] = 1
    length[3] |= 1
    claimed = int.from_bytes(length, "big")
    if claimed < 1 << 16:
        assert [len(body) for _kind, body in packets(first + bytes(length) + b"x" * claimed)] == [claimed]
    with pytest.raises(ValueError, match="cut off"):
        list(packets(first + bytes(length) + b"x" * min(claimed - 1, 1 << 16)))


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg makes the key that this compares with")
def test_fingerprint_equals_the_one_gpg_prints(tmp_path: Path) -> None:
    home = {**os.environ, "GNUPGHOME": str(tmp_path)}
    tmp_path.chmod(0o700)
    quiet = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*quiet, "--quick-gen-key", "Test <t@example.org>", "rsa2048"], env=home, check=True)
    listed = subprocess.run(
        [*quiet, "--list-keys", "--with-colons"], env=home, capture_output=True, text=True, check=True
    )
    fingerprint = next(line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr"))
    for armour in ([], ["--armor"]):
        key = subprocess.run([*quiet, "--export", *armour], env=home, capture_output=True, check=True).stdout
        assert fingerprint_of(key) == fingerprint
    subprocess.run(["gpgconf", "--kill", "all"], env=home, check=True)


def test_nodesource_fingerprint_is_a_version_4_fingerprint() -> None:
    assert len(NODESOURCE_KEY) == 40 and int(NODESOURCE_KEY, 16) and NODESOURCE_KEY.upper() == NODESOURCE_KEY


NPM = """#!/bin/sh
echo "$*" >> "{folder}/calls"
case $1 in
pack) echo pnpm > "$5/pnpm-10.33.0.tgz" ;;
esac
exit {status}
"""
DIGEST = hashlib.sha512(b"pnpm\n").hexdigest()


def install(tmp_path: Path, digest: str | None, status: int = 0) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    (tmp_path / "npm").write_text(NPM.format(folder=tmp_path, status=status))
    (tmp_path / "npm").chmod(0o755)
    argv = request_argv(InstallPnpmRequest("10.33.0", digest))
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    return done, (tmp_path / "calls").read_text().splitlines()


def test_pnpm_without_a_digest_is_installed_without_scripts(tmp_path: Path) -> None:
    done, calls = install(tmp_path, None)
    assert done.returncode == 0 and calls == ["install --global --ignore-scripts --no-audit --no-fund pnpm@10.33.0"]


@pytest.mark.parametrize("digest", [f"sha512.{DIGEST}", f"sha512.{DIGEST.upper()}"])
def test_pnpm_with_the_right_digest_is_installed_from_the_verified_file(tmp_path: Path, digest: str) -> None:
    done, calls = install(tmp_path, digest)
    assert done.returncode == 0, done.stderr
    assert calls[0].startswith("pack --ignore-scripts") and calls[1].startswith("install --global --ignore-scripts")
    assert calls[1].endswith("/pnpm-10.33.0.tgz")


@pytest.mark.parametrize("name", ["sha224", "sha256", "sha384", "sha512"])
def test_pnpm_may_be_named_by_each_digest_of_a_package_manager(tmp_path: Path, name: str) -> None:
    actual = hashlib.new(name, b"pnpm\n").hexdigest()
    assert install(tmp_path, f"{name}.{actual}")[0].returncode == 0
    (tmp_path / "calls").unlink()
    done, calls = install(tmp_path, f"{name}.{'0' * len(actual)}")
    assert done.returncode == 1 and len(calls) == 1
    assert done.stderr.startswith(
        f"the pnpm that the registry gave has {name} {actual}, and packageManager names {'0' * len(actual)}; nothing "
    )


@pytest.mark.parametrize("digest", [f"sha1.{'0' * 40}", f"md5.{'0' * 32}"])
def test_pnpm_with_a_weak_digest_is_not_installed(tmp_path: Path, digest: str) -> None:
    done, calls = install(tmp_path, digest)
    name = digest.partition(".")[0]
    why = f"packageManager names a digest of {name}; one of sha224, sha256, sha384, sha512 is needed\n"
    assert (done.returncode, len(calls), done.stderr) == (1, 1, why)


@pytest.mark.parametrize(("extra", "number"), [("rm $5/*", 0), ("touch $5/more", 2)])
def test_pack_of_another_number_of_files_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, number: int
) -> None:
    monkeypatch.setitem(globals(), "NPM", NPM.replace(" ;;", f"; {extra} ;;"))
    done, calls = install(tmp_path, f"sha512.{DIGEST}")
    why = f"npm pack made {number} files of pnpm@10.33.0, and one is expected\n"
    assert (done.returncode, len(calls), done.stderr) == (1, 1, why)


def test_failing_npm_fails_the_program(tmp_path: Path) -> None:
    done, _calls = install(tmp_path, None, status=3)
    argv = "install --global --ignore-scripts --no-audit --no-fund pnpm@10.33.0"
    assert (done.returncode, done.stderr) == (1, f"npm {argv} failed:\n\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pnpm@10.33.0", ("10.33.0", None)),
        ("pnpm@10.33.0+sha512.abCD12", ("10.33.0", "sha512.abCD12")),
        ("pnpm@10.33.0-rc.1+sha224.ab", ("10.33.0-rc.1", "sha224.ab")),
        ("pnpm@10.33.0+sha512", (None, None)),
        ("pnpm@10.33.0+sha512.xyz", (None, None)),
        ("yarn@4.0.0", (None, None)),
    ],
)
def test_package_json_names_a_pnpm_version_and_digest(
    tmp_path: Path, text: str, expected: tuple[str | None, str | None]
) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"packageManager": text}))
    assert pinned(str(tmp_path)) == expected


def test_no_program_lets_npm_run_scripts_of_global_packages() -> None:
    for path in sorted(PODS.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert '"npm"' not in text or path.name == "install_pnpm.py" or '"install"' not in text, path.name
