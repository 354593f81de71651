from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab import kernel
from tests.lab.apt import download
from tests.lab.errors import LabError
from tests.lab.shell import call


def test_each_setting_of_the_kernel_is_stated_once() -> None:
    settings = [line for line in kernel.CONFIG.read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("CONFIG_") and line.endswith("=y") for line in settings)
    assert len(settings) == len(set(settings))


def test_a_setting_that_the_source_does_not_take_is_named() -> None:
    stated = "# Devices\nCONFIG_A=y\n\nCONFIG_AB=y\nCONFIG_C=y\n"
    assert kernel.missing_settings(stated, "CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_ABC=y\n") == [
        "CONFIG_AB=y",
        "CONFIG_C=y",
    ]


def test_a_kernel_is_built_once_for_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []

    def build(path: Path) -> None:
        built.append(path)
        path.touch()

    monkeypatch.setattr(kernel, "cache", lambda: tmp_path)
    monkeypatch.setattr(kernel, "build", build)
    assert kernel.kernel() == kernel.kernel() == built[0]
    monkeypatch.setattr(kernel, "CONFIG", tmp_path / "other.config")
    (tmp_path / "other.config").write_text("CONFIG_NET=y\n")
    assert kernel.kernel() == built[1] != built[0]


@pytest.mark.skipif(shutil.which("modprobe") is None, reason="needs modprobe")
def test_a_root_file_system_knows_the_modules_of_its_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "linux"
    kernel.builtin_list(program).write_text("kernel/net/bridge/bridge.ko\n")
    monkeypatch.setattr(kernel, "kernel", lambda: program)
    monkeypatch.setattr(kernel, "version", lambda: "7.2.0")
    (tmp_path / "root/usr").mkdir(parents=True)
    (tmp_path / "root/lib").symlink_to("usr/lib")
    kernel.add_modules(tmp_path / "root")
    call(["depmod", "--basedir", str(tmp_path / "root"), "7.2.0"])
    modprobe = ["modprobe", "--dirname", str(tmp_path / "root"), "--set-version", "7.2.0", "--dry-run"]
    assert subprocess.run([*modprobe, "bridge"], check=False).returncode == 0
    assert subprocess.run([*modprobe, "other"], check=False, stderr=subprocess.DEVNULL).returncode == 1


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
def test_a_package_comes_with_its_signature_checked_or_not_at_all(tmp_path: Path) -> None:
    unsigned = tmp_path / "archive"
    (unsigned / "dists/suite/main/binary-amd64").mkdir(parents=True)
    (unsigned / "dists/suite/main/binary-amd64/Packages").touch()
    (unsigned / "dists/suite/Release").write_text("Suite: suite\nComponents: main\nArchitectures: amd64\n")
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(LabError, match="not signed"):
        download("linux-source", [f"deb file:{unsigned} suite main"], folder)
