"""A GTP-C message of the S-GW or SGSN before it is octets: its form, and what differs each time."""

from dataclasses import dataclass, replace
from enum import StrEnum

from gateway_sim.signalling.terminal import BEARER_ID, EUTRAN, IPV4, NO_AUTH, Credentials


class Kind(StrEnum):
    """What is sent; the message types of version 2 and version 1 are in TYPES."""

    ECHO_REQUEST = "echo request"
    ECHO_RESPONSE = "echo response"
    NOT_SUPPORTED = "version not supported"
    CREATE_REQUEST = "create request"
    CREATE_RESPONSE = "create response"
    MODIFY_REQUEST = "modify request"
    MODIFY_RESPONSE = "modify response"
    DELETE_REQUEST = "delete request"
    DELETE_RESPONSE = "delete response"
    DELETE_BEARER_REQUEST = "delete bearer request"
    DELETE_BEARER_RESPONSE = "delete bearer response"


TYPES: dict[int, dict[Kind, int]] = {
    2: {  # TS 29.274 table 6.1-1
        Kind.ECHO_REQUEST: 1,
        Kind.ECHO_RESPONSE: 2,
        Kind.NOT_SUPPORTED: 3,
        Kind.CREATE_REQUEST: 32,
        Kind.CREATE_RESPONSE: 33,
        Kind.MODIFY_REQUEST: 34,
        Kind.MODIFY_RESPONSE: 35,
        Kind.DELETE_REQUEST: 36,
        Kind.DELETE_RESPONSE: 37,
        Kind.DELETE_BEARER_REQUEST: 99,
        Kind.DELETE_BEARER_RESPONSE: 100,
    },
    1: {  # TS 29.060 table 1; a deletion has the same types from either side
        Kind.ECHO_REQUEST: 1,
        Kind.ECHO_RESPONSE: 2,
        Kind.NOT_SUPPORTED: 3,
        Kind.CREATE_REQUEST: 16,
        Kind.CREATE_RESPONSE: 17,
        Kind.MODIFY_REQUEST: 18,
        Kind.MODIFY_RESPONSE: 19,
        Kind.DELETE_REQUEST: 20,
        Kind.DELETE_RESPONSE: 21,
    },
}
KINDS: dict[int, dict[int, Kind]] = {
    version: {number: kind for kind, number in types.items()} for version, types in TYPES.items()
}
SEQUENCE_BITS = {1: 16, 2: 24}

ACCEPTED: dict[int, tuple[int, ...]] = {1: (128, 129, 130), 2: (16, 17, 18, 19)}
"""causes of success: the first says just that (TS 29.060 7.7.1, TS 29.274 8.4)"""
NOBODY = Credentials(NO_AUTH)
NOT_FOUND: dict[int, tuple[int, ...]] = {1: (192, 210), 2: (64,)}
"""causes that say that the gateway does not know the session: non-existent, context not found"""


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a message that many terminals have alike, so that it is built once and stamped.

    Addresses are those of this node; `ambr_kbps` is (up, down). `cause` is of a response.
    """

    version: int
    kind: Kind
    address: str = "127.0.0.1"
    user_address: str = "127.0.0.1"
    restarts: int = 0
    network: tuple[str, str] = ("440", "10")
    apn: str = ""
    rat: int = EUTRAN
    pdn_type: int = IPV4
    credentials: Credentials = NOBODY
    ambr_kbps: tuple[int, int] = (37_500, 112_500)
    bearer_id: int = BEARER_ID
    cause: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """What is stamped: numbers of this message, of this terminal, of this session.

    `teid` is the header's, the receiver's; `teid_control` and `teid_user` are this side's.
    """

    sequence: int
    teid: int = 0
    teid_control: int = 0
    teid_user: int = 0
    imsi: str = ""
    msisdn: str = ""
    imei: str = ""
    challenge: bytes = b""
    response: bytes = b""


MARK = Fill(
    sequence=0,
    teid_control=0xE3C5B7A9,
    teid_user=0xE4C6D8BA,
    imsi="192839485968798",
    msisdn="29384958697819",
    imei="3948596879182938",
    challenge=b"\xa1challenge-mark\xa2",
    response=b"\xa3responses-mark\xa4",
)
"""values that no text in UTF-8 has in it, so that they tell where they stand in a message"""


def mark(fill: Fill) -> Fill:
    """The marks in the lengths of a `Fill`; what is empty there is empty here."""
    return replace(
        MARK,
        imsi=MARK.imsi[: len(fill.imsi)],
        msisdn=MARK.msisdn[: len(fill.msisdn)],
        imei=MARK.imei[: len(fill.imei)],
        challenge=MARK.challenge[: len(fill.challenge)],
        response=MARK.response[: len(fill.response)],
    )


def bcd(digits: str) -> bytes:
    """Digits as half octets, the first in the low half, filled with 1111 (TS 29.274 8.3)."""
    padded = digits + "f" * (len(digits) % 2)
    return bytes(
        int(low, 16) | int(high, 16) << 4
        for low, high in zip(padded[::2], padded[1::2], strict=True)
    )
