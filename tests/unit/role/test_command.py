"""How the answer of a program is told from other output."""

from __future__ import annotations

import subprocess

import pytest
from pyinfra.api.exceptions import FactProcessError

from files.pods.machine.protocol import PackagesReply, PackagesRequest
from tasks.bundle import BEGIN, END
from tasks.facts import fact_of


@pytest.mark.parametrize(
    "shell",
    [
        "{}",
        "echo Welcome; {}",
        "{}; echo logout; echo '{{}}'",
        "printf '\\033]0;a title\\007'; {}; printf '\\033[0m'",
        'echo \'{{"installed": {{"dpkg": "forged"}}}}\'; {}; echo \'{{"installed": {{"dpkg": "forged"}}}}\'',
        "printf 'no line break: '; {}; printf '$ '",
    ],
)
def test_a_document_is_parsed_whatever_shells_print(shell: str) -> None:
    sent = fact_of(PackagesReply)().command(PackagesRequest(["dpkg"]))
    (stdin,) = sent.connector_arguments["_stdin"] or ()
    argv = ["sh", "-c", shell.format(sent.get_raw_value())]
    done = subprocess.run(argv, input=str(stdin), capture_output=True, text=True, check=True)
    assert fact_of(PackagesReply)().process(done.stdout.split("\n")).installed["dpkg"] != "forged"


def test_a_document_holds_what_resembles_a_mark() -> None:
    document = f'{{"installed": {{"a": "{END} {BEGIN}"}}}}'
    output = ["hello", BEGIN, document, END, "bye"]
    assert fact_of(PackagesReply)().process(output).installed == {"a": f"{END} {BEGIN}"}


@pytest.mark.parametrize(
    "output",
    [[BEGIN, END], [BEGIN, "{}", END], [BEGIN, END, '{"installed": {}}'], ["{" * 10000], ['{"a":' * 100000]],
)
def test_what_is_no_document_is_none(output: list[str]) -> None:
    with pytest.raises(FactProcessError, match=r"machine\.packages printed something else than its document"):
        fact_of(PackagesReply)().process(output)
