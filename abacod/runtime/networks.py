"""What the engine tells of its networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

_WITHOUT_ONE: Final = ("host", "none")


def makes_networks(mode: str) -> bool:
    """Whether each container with this network mode gets a network of its own."""
    return mode not in _WITHOUT_ONE and not mode.startswith("container:")


def gateway_of(network: Mapping[str, Any]) -> str | None:
    """The gateway in the engine's description of a network, an IPv4 one if there is one; None if it names none.

    Engines leave the gateway out where they chose it themselves: it is the first address of the subnet then.
    """
    pools = (network.get("IPAM") or {}).get("Config") or []
    gateways = [ipaddress.ip_interface(found).ip for pool in pools if (found := pool.get("Gateway"))]
    gateways += [ipaddress.ip_network(found)[1] for pool in pools if (found := pool.get("Subnet"))]
    return min(map(str, gateways), key=lambda each: ":" in each, default=None)
