"""Why packages are installed by an operation of the role's own."""

from types import SimpleNamespace
from typing import Any

from pyinfra.context import ctx_host
from pyinfra.facts.deb import DebPackages
from pyinfra.operations import apt

from tasks.operations.packages import apt_install, apt_update

NAME = "nfs-kernel-server"


def commands(installed: dict[str, list[str]], **arguments: Any) -> list[str]:
    """What pyinfra's own operation does on a machine with these packages."""
    machine = SimpleNamespace(get_fact=lambda *_arguments, **_named: installed, noop=lambda why: None)
    with ctx_host.use(machine):
        return [str(command) for command in apt.packages._inner(packages=[NAME], **arguments)]


def test_pyinfras_operation_fetches_the_lists_even_where_all_is_installed() -> None:
    assert commands({NAME: ["1:2.8"]}, no_recommends=True) == []
    assert commands({NAME: ["1:2.8"]}, update=True, no_recommends=True) == ["apt-get update"]


def test_pyinfras_fact_takes_a_failure_for_a_machine_without_packages() -> None:
    assert DebPackages.default() == {}


def test_apt_asks_nobody_waits_for_its_lock_and_installs_no_recommended_packages() -> None:
    update, install = apt_update().get_raw_value(), apt_install(NAME).get_raw_value()
    waits = "-q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
    assert update == f"apt-get update {waits}"
    assert install == f"DEBIAN_FRONTEND=noninteractive apt-get install {waits} --no-install-recommends {NAME}"
