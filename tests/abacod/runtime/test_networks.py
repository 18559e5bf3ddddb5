from __future__ import annotations

from typing import Any

import pytest

from abacod.runtime.networks import gateway_of

V4 = {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}
V6 = {"Subnet": "fd00:1::/64", "Gateway": "fd00:1::1"}


@pytest.mark.parametrize(
    ("pools", "gateway"),
    [
        ([V4], "172.18.0.1"),
        ([V6, V4], "172.18.0.1"),
        ([V6], "fd00:1::1"),
        ([{"Subnet": "10.4.0.0/24"}], "10.4.0.1"),
        ([{"Subnet": "10.4.0.0/24", "Gateway": "10.4.0.254"}], "10.4.0.254"),
        ([{"Subnet": "fd00::/64", "Gateway": "fd00::1/64"}], "fd00::1"),
        ([], None),
        (None, None),
    ],
)
def test_the_gateway_of_a_network(pools: list[dict[str, Any]] | None, gateway: str | None) -> None:
    assert gateway_of({"Name": "n", "IPAM": {"Driver": "default", "Config": pools}}) == gateway


def test_a_network_without_addresses_has_none() -> None:
    assert gateway_of({"Name": "host"}) is None
    assert gateway_of({"Name": "host", "IPAM": None}) is None
