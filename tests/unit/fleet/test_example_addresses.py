"""Addresses that only examples have."""

from __future__ import annotations

import pytest

from tasks.model.fleet.example_addresses import example_problems
from tasks.model.fleet.plan import Machine

EXAMPLES = ["192.0.2.10", "198.51.100.1", "203.0.113.255", "2001:db8::1"]
OTHERS = ["10.0.0.1", "192.0.3.1", "2001:db9::1", "oslo", "oslo.example.org", ""]


@pytest.mark.parametrize("address", EXAMPLES + OTHERS)
def test_a_machine_at_an_address_for_examples_is_a_problem(address: str) -> None:
    by_data = example_problems([Machine("oslo", (), {"ssh_hostname": address})])
    by_name = example_problems([Machine(address, (), {})])
    assert [bool(by_data), bool(by_name)] == [address in EXAMPLES] * 2
