"""Where a service may listen: this machine alone, unless keys say who may come from elsewhere (G10)."""

import ipaddress
import re

from engine.errors import UsageError

IPC_BYTES_MAX = 100
"""a Unix socket's path has room for 107, and ZeroMQ's own suffix"""
LOOPBACK = ("127.0.0.1", "::1")

_IPC = re.compile(r"ipc://([^@].*)")
_TCP = re.compile(r"tcp://(.+):(\d{1,5}|\*)")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})|\*")


def check_endpoint(text: str, *, beyond: bool = False) -> str:
    """The endpoint, if it can be reached from this machine only, or `beyond` it; UsageError otherwise.

    Beyond: other addresses, `*`, and names of hosts and interfaces, for those who have keys.
    """
    path = _IPC.fullmatch(text)
    if path and path[1].isprintable() and len(path[1].encode()) <= IPC_BYTES_MAX:
        return text
    tcp = _TCP.fullmatch(text)
    if tcp and (tcp[2] == "*" or 0 < int(tcp[2]) < 65_536):
        if _is_loopback(tcp[1]) or (beyond and _is_host(tcp[1])):
            return text
    wanted = f"ipc://PATH (at most {IPC_BYTES_MAX} bytes), tcp://127.0.0.1:PORT or tcp://[::1]:PORT"
    if beyond:
        raise UsageError(f"endpoint {text!r:.120}: must be {wanted}, or tcp://HOST:PORT")
    raise UsageError(
        f"endpoint {text!r:.120}: must be {wanted}; nothing listens beyond this machine without a "
        "server key and a list of clients' keys"
    )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _is_loopback(text: str) -> bool:
    address = _address(text)
    return address is not None and str(address) in LOOPBACK


def _is_host(text: str) -> bool:
    return _address(text) is not None or bool(_NAME.fullmatch(text))


def wants_ipv6(endpoint: str) -> bool:
    """Whether a socket needs ZMQ_IPV6 for it."""
    return endpoint.startswith("tcp://[")
