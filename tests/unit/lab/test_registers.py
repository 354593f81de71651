from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import registers, requirements

TRACER = """
import ctypes, os, signal
XSTATE, GET, SET = 0x202, 0x4204, 0x4205
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.restype, ptrace.argtypes = ctypes.c_long, [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
child = os.fork()
if child == 0:
    ptrace(0, 0, None, None)
    os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(child, 0)
def asked(request, content):
    part = Part(ctypes.cast(content, ctypes.c_void_p), len(content))
    failed = ptrace(request, child, ctypes.c_void_p(XSTATE), ctypes.byref(part)) < 0
    return ctypes.get_errno() if failed else 0, part.length
try:
    before = ctypes.create_string_buffer(65536)
    whole = asked(GET, before)[1]
    short = ctypes.create_string_buffer(before.raw[:576], 576)
    short[160:176] = b"sixteen of xmm0!"
    short[512] = bytes([short.raw[512] & 3 | 2])
    done = asked(SET, short)[0]
    after = ctypes.create_string_buffer(65536)
    asked(GET, after)
    print(whole > 576, done, after.raw[160:176] == b"sixteen of xmm0!")
finally:
    os.kill(child, signal.SIGKILL)
"""


def _traced(**environment: str) -> str:
    command = [sys.executable, "-I", "-c", TRACER]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, env=os.environ | environment
    ).stdout.strip()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on this machine")
def test_registers_that_are_too_short_are_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses them as they are; with the library it takes them, and what is given arrives."""
    monkeypatch.setattr(registers, "cache", lambda: tmp_path)
    assert _traced() == f"True {errno.EFAULT} False"
    assert _traced(LD_PRELOAD=str(registers.library())) == "True 0 True"
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]


def test_a_compiler_is_required_where_the_processor_has_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    required = {}
    for amx in (False, True):
        monkeypatch.setattr(requirements, "has_amx", lambda amx=amx: amx)
        required[amx] = requirements.missing_packages()
    assert "gcc libc6-dev" not in required[False]
    assert set(required[True]) - set(required[False]) == {"gcc libc6-dev"}


def test_only_there_is_something_preloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registers, "has_amx", lambda: False)
    assert registers.preloaded() == {}
