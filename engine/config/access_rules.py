"""What must hold between the values of `[access]`; see `engine.config.rules`."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from engine.config.access import pool4, pool6
from engine.config.faults import Finding, Locate, Path, shown
from engine.config.rules import at, repeated

LISTS = {"apns": "APN", "networks": "network", "rats": "RAT type", "dns4": "server"}
LISTS |= {"dns6": "server", "peers": "prefix"}

Net = ipaddress.IPv4Network | ipaddress.IPv6Network


def findings(raw: dict[str, Any], own: dict[str, Any], locate: Locate) -> list[Finding]:
    """All that is wrong in the access settings of `raw`, which is a file's `own` over the default."""
    found = [*_overlaps(raw, "pool4"), *_overlaps(raw, "pool6")]
    for key, what in LISTS.items():
        found += repeated(_items(raw, key), what, locate)
    return found


def _items(raw: object, key: str) -> Iterator[tuple[Path, object]]:
    items = at(raw, ("access", key))
    for index, item in enumerate(items if isinstance(items, list) else ()):
        yield ("access", key, index), item


def _pools(raw: object, key: str) -> Iterator[tuple[Path, Net]]:
    right = pool4 if key == "pool4" else pool6
    for path, text in _items(raw, key):
        try:
            yield path, ipaddress.ip_network(right(text if isinstance(text, str) else ""))
        except ValueError:
            continue


def _overlaps(raw: object, key: str) -> Iterator[Finding]:
    """An address belongs to one pool."""
    earlier: list[Net] = []
    for path, net in _pools(raw, key):
        for other in earlier:
            if net.overlaps(other):
                yield Finding(path, f"{shown(str(net))} overlaps the pool {other}")
                break
        earlier.append(net)
