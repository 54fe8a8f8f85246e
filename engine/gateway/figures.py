"""The data plane's own figures as plain values, and the drops of gateway and engine as one."""

from typing import TYPE_CHECKING, Any

from engine import verdict
from engine.gateway import libc
from engine.gateway.paths import NAMES
from engine.live_layout import (
    PLANE_CLOSED_BYTES,
    PLANE_CLOSED_PACKETS,
    PLANE_DOWN_BYTES,
    PLANE_DOWN_PACKETS,
    PLANE_DROPS_DOWN,
    PLANE_DROPS_UP,
    PLANE_HELD_MAX,
    PLANE_LATE_MAX_NS,
    PLANE_MESSAGES,
    PLANE_OTHERS_OVER,
    PLANE_TRAILERS,
    PLANE_UNHELD_BYTES,
    PLANE_UNHELD_PACKETS,
    PLANE_UP_BYTES,
    PLANE_UP_PACKETS,
)

if TYPE_CHECKING:
    from engine.gateway.plane import Plane

Drops = dict[str, dict[str, int]]


def plane_figures(plane: "Plane") -> dict[str, Any]:
    """bearers, messages by type, drops of no session, what waits, what went out and what could not."""
    words = plane.words
    return {
        "bearers": len(plane.bearers),
        "messages": _messages(words),
        "drops_up": drops_at(words, PLANE_DROPS_UP),
        "drops_down": drops_at(words, PLANE_DROPS_DOWN),
        "trailing_bytes_packets": int(words[PLANE_TRAILERS]),
        "unanswered_messages": int(words[PLANE_OTHERS_OVER])
        + plane.paths.answers.over
        + plane.paths.complaints.over,
        "paths": dict(sorted(plane.paths.counters.items())),
        "hold": {
            "packets": len(plane.hold),
            "packets_max": int(words[PLANE_HELD_MAX]),
            "late_max_ns": int(words[PLANE_LATE_MAX_NS]),
            "no_room_packets": int(words[PLANE_UNHELD_PACKETS]),
            "no_room_bytes": int(words[PLANE_UNHELD_BYTES]),
            "closed_packets": int(words[PLANE_CLOSED_PACKETS]),
            "closed_bytes": int(words[PLANE_CLOSED_BYTES]),
        },
        "up": _sent(int(words[PLANE_UP_PACKETS]), int(words[PLANE_UP_BYTES])),
        "down": {
            **_sent(int(words[PLANE_DOWN_PACKETS]), int(words[PLANE_DOWN_BYTES])),
            "lost": dict(plane.outbox.lost),
        },
        "sgi": plane.sgi.figures(),
        "gtp_u_socket_drops": libc.socket_drops(plane.sock),
    }


def _sent(packets: int, inner_bytes: int) -> dict[str, Any]:
    return {"packets": packets, "inner_bytes": inner_bytes}


def _messages(words: Any) -> dict[str, int]:
    """GTP-U messages received, by type; types without a name by number."""
    counts = words[PLANE_MESSAGES : PLANE_MESSAGES + 256].tolist()
    return {NAMES.get(kind, str(kind)): count for kind, count in enumerate(counts) if count}


def drops_at(words: Any, base: int) -> Drops:
    """Packets and bytes by reason; reasons that occurred only."""
    found = {}
    for code, name in verdict.NAMES.items():
        packets, size = int(words[base + 2 * code]), int(words[base + 2 * code + 1])
        if packets:
            found[name] = {"packets": packets, "bytes": size}
    return found


def all_drops(engine_drops: Drops, gateway: dict[str, Any]) -> Drops:
    """What the engine dropped and what never came so far, by reason, in the order of the codes."""
    parts = engine_drops, gateway["drops_up"], gateway["drops_down"]
    return {
        name: {
            unit: sum(part[name][unit] for part in parts if name in part)
            for unit in ("packets", "bytes")
        }
        for name in verdict.NAMES.values()
        if any(name in part for part in parts)
    }
