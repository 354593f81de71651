"""The templates of files/: systemd accepts the units that they become for each kind of host."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from files.pods.nfs.protocol import Backend
from tasks.model import templates
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit as service
from tasks.model.host.version_change import boot_rollback
from tasks.model.nfs import container_firewall as firewall
from tasks.model.nfs.mount_plan import binds_of, pods_of
from tasks.model.nfs.mount_unit import DOCKER_DROPIN, docker_dropin, mount_points, unit_path
from tasks.model.ownership import guard
from tasks.model.systemd_names import UNITS, unit_name
from tasks.model.templates import FILES, render
from tests.builders import local_plan
from tests.fake.kinds import KINDS
from tests.unit.service.test_service_unit import NFS, SQUASHED

ODD = {"nanoclaw_environment": {"ODD": 'a "b" \\n 100% $HOME {{ x }} {% y'}}
STUB = "[Service]\nExecStart=/bin/true\n"
LEGACY = ["iptables-legacy", "ip6tables-legacy"]

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def version() -> int:
    shown = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(shown.split()[1].split(".")[0])


def unit_files(of: HostPlan, systemd: int, backend: Backend = "nft") -> dict[str, str]:
    """All unit files of a host, path to text, and stubs of others' units that have a drop-in of ours."""
    machine = service.Runtime(service.expected_account(of), "/bin/true", systemd)
    points, boot = mount_points(of), boot_rollback(of, "/bin/true -I '{}'")
    files = {
        f"{UNITS}/docker.service": STUB,
        f"{UNITS}/nftables.service": STUB,
        service.unit_path(of): service.unit_text(of, machine),
        service.dropin_path(of): service.dropin_text(of, machine),
        guard.unit_file(of): guard.unit_text(of, b"program"),
        f"{UNITS}/{boot.name}": boot.text,
        f"{UNITS}/{boot.unit}.d/60-nanoclaw-pods-transition.conf": boot.drop_in,
        DOCKER_DROPIN: docker_dropin([*map(unit_name, points), firewall.UNIT]),
        firewall.UNIT_FILE: firewall.unit_text(backend, LEGACY),
        firewall.NFTABLES_DROPIN: firewall.nftables_dropin(),
    }
    mounts = [*([pods_of(of, of.source)] if of.source else []), *binds_of(of)]
    files |= {unit_path(mount.path): mount.text for mount in mounts}
    return files | ({service.retry_path(of): service.retry_text(of)} if points else {})


def complaints(folder: Path, files: dict[str, str]) -> list[str]:
    """Return what systemd says of these units alone."""
    for path, text in files.items():
        file = folder / Path(path).relative_to(UNITS)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    names = [Path(path).name for path in files if not path.endswith(".conf")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(folder / name) for name in names)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C.UTF-8"},
    )
    return [line for line in done.stderr.splitlines() if str(folder) in line or line.startswith(tuple(names))]


@needs_systemd
@pytest.mark.parametrize("backend", ["nft", "iptables"])
@pytest.mark.parametrize("kind", [*KINDS, "binds"])
def test_systemd_accepts_every_unit(kind: str, backend: Backend, tmp_path: Path) -> None:
    files = unit_files(local_plan(**{**NFS, **KINDS.get(kind, SQUASHED), **ODD}), version(), backend)
    assert complaints(tmp_path, files) == []


@needs_systemd
@pytest.mark.parametrize(
    ("section", "line"),
    [("Service", "Restrat=always"), ("Service", "OOMPolicy=often"), ("Mount", "Typ=nfs"), ("Unit", "Wants=a b/c")],
)
def test_error_in_any_file_is_reported(section: str, line: str, tmp_path: Path) -> None:
    files = unit_files(local_plan(**SQUASHED), version())
    broken = [path for path, text in files.items() if f"[{section}]\n" in text and text != STUB]
    assert len(broken) > 1
    for number, path in enumerate(broken):
        text = files[path].replace(f"[{section}]\n", f"[{section}]\n{line}\n", 1)
        assert complaints(tmp_path / str(number), {**files, path: text}), path


def test_every_template_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would check a template that no function fills in."""
    used: set[str] = set()
    original = templates._template

    def noted(name: str) -> Any:
        used.add(name)
        return original(name)

    monkeypatch.setattr(templates, "_template", noted)
    of = local_plan(**SQUASHED)
    unit_files(of, 257)
    service.rotation_text(of, service.expected_account(of))
    firewall.rules_text("nft", "10.0.0.1")
    files = [path for path in FILES.rglob("*") if path.is_file() and "pods" not in path.relative_to(FILES).parts[:1]]
    assert used == {str(path.relative_to(FILES)) for path in files}


@pytest.mark.parametrize(
    "values",
    [{}, {"units": "a.mount", "more": 1}, {"unit": "a.mount"}],
    ids=["a placeholder without a value", "a value without a placeholder", "both"],
)
def test_placeholders_and_values_must_agree(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"docker\.service\.d/nanoclaw-pods\.conf: placeholders and values differ: "):
        render("units/docker.service.d/nanoclaw-pods.conf", **values)


def test_value_is_not_read_as_a_template() -> None:
    assert "Wants={{ units }}{# a #}\n" in docker_dropin(["{{ units }}{# a #}"])
