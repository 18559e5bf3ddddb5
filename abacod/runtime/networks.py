"""What the engine tells of its networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any


def gateway_of(network: Mapping[str, Any]) -> str | None:
    """The gateway in the engine's description of a network, an IPv4 one if there is one; None if it names none.

    Engines leave the gateway out where they chose it themselves: it is the first address of the subnet then.
    """
    pools = (network.get("IPAM") or {}).get("Config") or []
    gateways = [ipaddress.ip_interface(found).ip for pool in pools if (found := pool.get("Gateway"))]
    gateways += [ipaddress.ip_network(found)[1] for pool in pools if (found := pool.get("Subnet"))]
    return min(map(str, gateways), key=lambda each: ":" in each, default=None)
