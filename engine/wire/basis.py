"""What a packet's length is counted on (U3): four bases that are in use, of headers alone.

Never of the captured bytes: a capture that kept only the headers is billed as the whole one.
"""

from typing import Any

import numpy as np

from engine.jit import leaf
from engine.wire.ip import (
    FRAGMENT_OFFSET,
    LATER,
    SCTP,
    TCP,
    UDP,
    UDP_LITE,
    V4_BYTES,
    V6_BYTES,
    skip_extensions,
)
from engine.wire.loads import be16, u8

INNER_IP = 0
"""the packet that is charged: IPv4 total length or IPv6 payload length + 40"""
OUTER_IP = 1
"""the packet around its tunnel, if it is in one"""
FRAME = 2
"""the frame on the wire, with link header, tags and padding, without its checksum (FCS)"""
L4_PAYLOAD = 3
"""what stands behind the transport header of the packet that is charged"""

BASES = {"inner-ip": INNER_IP, "outer-ip": OUTER_IP, "frame": FRAME, "l4-payload": L4_PAYLOAD}
"""by the name that the setting `count` has for them"""

TCP_BYTES = 20
UDP_BYTES = 8
SCTP_BYTES = 12


@leaf
def transport_bytes(buf: Any, at: Any, held_end: Any, protocol: Any) -> Any:
    """Size of the transport header at `at`: of TCP, UDP, UDP-Lite and SCTP; 0 of all else.

    TCP's own length field counts where it was captured and possible (RFC 9293 3.1).
    """
    if protocol == TCP:
        offset = u8(buf, at + 12) >> 4 if at + 13 <= held_end else np.int64(0)
        return max(np.int64(TCP_BYTES), offset * 4)
    if protocol == UDP or protocol == UDP_LITE:
        return np.int64(UDP_BYTES)
    return np.int64(SCTP_BYTES if protocol == SCTP else 0)


@leaf
def payload_bytes(buf: Any, at: Any, held_end: Any, length: Any) -> Any:
    """byte; behind the transport header of the IP packet of `length` bytes at `at`, never below 0.

    Of a fragment that is not the first, and of a protocol without ports, all behind the IP headers;
    of a packet whose fixed IP header was not captured, 0.
    """
    end = at + length
    version = u8(buf, at) >> 4 if at < held_end else np.int64(0)
    if version == 4 and at + V4_BYTES <= held_end:
        upper = at + max(np.int64(V4_BYTES), (u8(buf, at) & 15) * 4)
        protocol = u8(buf, at + 9)
        later = be16(buf, at + 6) & FRAGMENT_OFFSET != 0
    elif version == 6 and at + V6_BYTES <= held_end:
        kind = u8(buf, at + 6)
        _, protocol, upper, state = skip_extensions(buf, at + V6_BYTES, held_end, end, kind)
        later = state == LATER
    else:
        return np.int64(0)
    header = np.int64(0) if later else transport_bytes(buf, upper, held_end, protocol)
    return max(np.int64(0), end - upper - header)
