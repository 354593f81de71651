from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.errors import LabError
from tests.lab.network import SUBNETS, Subnet, abandoned, choose


def test_the_first_lab_gets_the_first_network() -> None:
    assert choose(None, "/a", {}) == 0


def test_a_lab_keeps_the_network_it_holds() -> None:
    assert choose(None, "/b", {0: "/a", 3: "/b"}) == 3


def test_a_lab_gets_its_former_network_back_when_it_is_free() -> None:
    assert choose(4, "/b", {0: "/a"}) == 4
    assert choose(0, "/b", {0: "/a"}) == 1


def test_an_unknown_owner_still_holds_its_network() -> None:
    assert choose(0, "/a", {0: "", 1: ""}) == 2


def test_no_network_left() -> None:
    with pytest.raises(LabError, match="take a lab down"):
        choose(None, "/z", {n: f"/{n}" for n in SUBNETS})


def test_names_fit_what_the_kernel_allows() -> None:
    last = Subnet(SUBNETS[-1])
    assert len(last.tap(99)) <= 15
    assert last.cidr == "10.99.249.0/24"
    assert last.hardware_address(109) == "52:54:00:63:f9:6d"


def test_other_labs_leave_the_first_network_to_the_default_one() -> None:
    assert choose(None, "/test", {}, lowest=1) == 1
    assert choose(None, "/test", {1: "/other"}, lowest=1) == 2


def test_only_networks_of_labs_that_are_no_more_are_abandoned(tmp_path: Path) -> None:
    assert abandoned({0: str(tmp_path), 1: str(tmp_path / "removed"), 2: ""}) == [1]
