"""What a frame is that is no packet of anybody's: signalling, other protocols, other link layers."""

from typing import Any

import numpy as np

from engine.layout import PACKET_PORTS
from engine.replay.reasons import PROTOCOL_NAMES, step
from engine.wire import MODE_IP
from engine.wire.addresses import format_address
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.gtp import G_PDU, GTP_C_PORT, GTP_U_PORT
from engine.wire.ip import UDP

MESSAGES = {
    1: "Echo Request",
    2: "Echo Response",
    26: "Error Indication",
    31: "Supported Extension Headers Notification",
    254: "End Marker",
    G_PDU: "G-PDU",
}
"""3GPP TS 29.281 6.1"""


def no_user_traffic(path: str, number: int) -> dict[str, Any]:
    """Verdict and reason of frame `number`, which a replay passed over."""
    return {
        "packet": None,
        "verdict": "no-user-traffic",
        "reason": None,
        "legs": [],
        "steps": [step("N6", _what(path, number))],
    }


def _what(path: str, number: int) -> str:
    capture = Capture(path, Endpoints(), MODE_IP, keep=True)
    try:
        for packets in capture:
            at = np.flatnonzero(capture.kept["number"] == number)
            if at.size:
                frame = capture.kept[int(at[0])]
                return _ip(packets, capture.data, frame)
            if capture.frames >= number:
                break
    finally:
        capture.close()
    unread = ", ".join(map(str, capture.unsupported))
    if unread:
        return f"no IP packet that can be read; link types that pktoll does not look into: {unread}"
    return "no IP packet"


def _ip(packets: Any, data: Any, frame: Any) -> str:
    """An IP packet outside any tunnel, in a capture of tunnels."""
    if int(frame["packet"]) < 0:
        return "an IP packet that is cut short or broken, and no G-PDU as far as can be told"
    row = packets[int(frame["packet"])]
    protocol = PROTOCOL_NAMES.get(int(row["protocol"]), f"protocol {int(row['protocol'])}")
    ends = [format_address(row[f"{end}_hi"], row[f"{end}_lo"]) for end in ("src", "dst")]
    ports = [int(row["src_port"]), int(row["dst_port"])]
    if int(row["flags"]) & PACKET_PORTS:
        ends = [f"{address} port {port}" for address, port in zip(ends, ports, strict=True)]
    kind = _message(data, frame, row) if {GTP_U_PORT, GTP_C_PORT} & set(ports) else ""
    return f"{protocol} from {ends[0]} to {ends[1]}{kind}: not a G-PDU, so nobody's traffic here"


def _message(data: Any, frame: Any, row: Any) -> str:
    """The GTP message in a datagram without IP options, in words."""
    at = int(frame["start"]) + int(frame["payload"])
    header = 20 if data[at] >> 4 == 4 else 40
    place = at + header + 8 + 1
    if int(row["protocol"]) != UDP or place >= int(frame["start"]) + int(frame["held"]):
        return ""
    kind, version = int(data[place]), int(data[place - 1]) >> 5
    if GTP_C_PORT in (int(row["src_port"]), int(row["dst_port"])):
        return f", GTPv{version}-C message {kind}"
    return f", GTP-U message {MESSAGES.get(kind, kind)}"
