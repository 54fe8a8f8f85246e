"""GTP-U version 1 (3GPP TS 29.281): telling messages apart, and the way to a G-PDU's payload."""

from typing import Any

from engine import verdict
from engine.jit import inlined, leaf
from engine.wire.loads import be16, u8

GTP_U_PORT = 2152
"""TS 29.281 4.4.2"""
GTP_C_PORT = 2123
PFCP_PORT = 8805

ECHO_REQUEST = 1
G_PDU = 255
"""TS 29.281 6.1"""

VERSION_1 = 1
PROTOCOL_TYPE = 0x10
"""flags: GTP; 0 is GTP' (TS 29.281 5.1)"""
EXTENSION = 4
SEQUENCE = 2
ANY_OPTION = 7
"""flags E, S and PN: with any of them four more bytes are there, unused ones to be ignored"""

HEADER_BYTES = 8
OPTION_BYTES = 4

EXTENSIONS_MAX = 8
REQUIRED = 0x80
"""extension type: the endpoint that receives it, and a gateway is one, must understand it"""
RAN_CONTAINER = 0x81
PDU_SESSION_CONTAINER = 0x85
PDCP_PDU_NUMBER = 0xC0


@leaf
def is_known(kind: Any) -> Any:
    """Whether an extension type that must be understood is (TS 29.281 5.2.1, table of types).

    None of them changes where the payload begins or what it is, so understanding means skipping:
    RAN container, long PDCP PDU number, Xw RAN and NR RAN container, PDU session container; PDCP
    PDU number.
    """
    return kind == PDCP_PDU_NUMBER or (RAN_CONTAINER <= kind <= PDU_SESSION_CONTAINER)


@leaf
def skip_extensions(buf: Any, at: Any, held_end: Any, end: Any, kind: Any) -> Any:
    """Walk the extension headers that begin at `at`: (code, offset of the payload)."""
    required = False
    for _ in range(EXTENSIONS_MAX):
        if at >= min(held_end, end):
            return verdict.DROP_SHORT, at
        size = u8(buf, at) * 4
        if size == 0 or at + size > end:
            return verdict.DROP_EXT_LEN, at
        if at + size > held_end:
            return verdict.DROP_SHORT, at
        if kind & REQUIRED and not is_known(kind):
            required = True
        at += size
        kind = u8(buf, at - 1)
        if kind == 0:
            return verdict.DROP_EXT_REQUIRED if required else verdict.NONE, at
    return verdict.DROP_EXT_COUNT, at


@inlined
def header_fault(buf: Any, at: Any, end: Any) -> Any:
    """Drop code of the eight bytes that every message of version 1 begins with."""
    flags = u8(buf, at)
    if flags >> 5 != VERSION_1:
        return verdict.DROP_VERSION
    if not flags & PROTOCOL_TYPE:
        return verdict.DROP_PROTO
    if at + HEADER_BYTES > end:
        return verdict.DROP_SHORT
    return verdict.NONE


@inlined
def g_pdu(buf: Any, at: Any, held_end: Any, end: Any) -> Any:
    """A G-PDU whose header has no fault: (code, offset of the T-PDU, its end).

    `end` is where the UDP payload ends; the code is DROP_LEN where the message claims more.
    """
    flags = u8(buf, at)
    claimed_end = at + HEADER_BYTES + be16(buf, at + 2)
    payload = at + HEADER_BYTES
    if flags & ANY_OPTION:
        payload += OPTION_BYTES
        if payload > min(held_end, end):
            return verdict.DROP_SHORT, payload, claimed_end
        kind = u8(buf, payload - 1)
        if flags & EXTENSION and kind:
            code, payload = skip_extensions(
                buf, payload, held_end, min(end, max(payload, claimed_end)), kind
            )
            if code:
                return code, payload, claimed_end
    if claimed_end > end or payload > claimed_end:
        return verdict.DROP_LEN, payload, claimed_end
    if payload == claimed_end:
        return verdict.DROP_EMPTY, payload, claimed_end
    return verdict.NONE, payload, claimed_end


@leaf
def signalling_fault(buf: Any, at: Any, held_end: Any, end: Any) -> Any:
    """Drop code of a message that is not a G-PDU; its type has been read."""
    code = header_fault(buf, at, min(held_end, end))
    if code:
        return code
    if u8(buf, at + 1) == ECHO_REQUEST:
        if at + HEADER_BYTES + OPTION_BYTES > end:
            return verdict.DROP_SHORT
        if not u8(buf, at) & SEQUENCE:
            return verdict.DROP_NOSEQ
    return verdict.DROP_LEN if at + HEADER_BYTES + be16(buf, at + 2) > end else verdict.NONE
