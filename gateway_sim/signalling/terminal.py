"""A terminal and its SIM: what it asks for when it attaches, and what it knows afterwards."""

import hashlib
from dataclasses import dataclass, field

from gateway_sim.signalling.transitions import State

UTRAN, GERAN, EUTRAN = 1, 2, 6
"""RAT types (TS 29.274 8.17, TS 29.060 7.7.50)"""
IPV4, IPV6, IPV4V6 = 1, 2, 3
"""PDN types (TS 29.274 8.34); version 1 has other numbers for the same"""
PAP, CHAP, NO_AUTH = "pap", "chap", "none"
BEARER_ID = 5
"""the default bearer's EBI or NSAPI: the first of those for user traffic (TS 24.007 11.2.3.1.5)"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the terminal says who it is: "pap", "chap" or "none" (N1)."""

    kind: str = PAP
    user: str = "mio@iij"
    password: str = "iij"


@dataclass(frozen=True, slots=True)
class Fteid:
    """One end of a tunnel, an F-TEID: TEID and address."""

    teid: int
    address: str


def chap_response(identifier: int, password: str, challenge: bytes) -> bytes:
    """What a terminal answers to a challenge (RFC 1994 4.1 with MD5)."""
    text = bytes([identifier]) + password.encode() + challenge
    return hashlib.md5(text, usedforsecurity=False).digest()


@dataclass(slots=True, eq=False)
class Terminal:
    """One terminal: first what its owner sets, then what its session gives it.

    `version` is that of GTP-C, 2 for a terminal behind an S-GW and 1 behind an SGSN; `rat` None is
    E-UTRAN or UTRAN accordingly. `network` is the (MCC, MNC) that it is in (N5).
    """

    imsi: str
    msisdn: str = ""
    imei: str = ""
    apn: str = "iijmio.jp"
    version: int = 2
    rat: int | None = None
    pdn_type: int = IPV4
    credentials: Credentials = field(default_factory=Credentials)
    network: tuple[str, str] = ("440", "10")

    state: State = State.IDLE
    control: Fteid | None = None
    """this side's end of the control tunnel"""
    user: Fteid | None = None
    """this side's end of the user tunnel: G-PDUs with its TEID come down to the terminal"""
    next_control: Fteid | None = None
    next_user: Fteid | None = None
    """the ends that a Modify under way asks for"""
    next_rat: int | None = None
    gateway_control: Fteid | None = None
    gateway_user: Fteid | None = None
    """the gateway's end of the user tunnel: G-PDUs that go up have its TEID"""
    ipv4: str | None = None
    ipv6: str | None = None
    """the prefix, such as "2001:db8:0:7::/64"""
    dns: tuple[str, ...] = ()
    cause: int | None = None
    """of the last answer, or of the gateway's deletion"""
    authenticated: bool | None = None
    """what the answer said to PAP or CHAP; None where it said nothing"""
    charging_id: int | None = None
    attached_ns: int = 0

    def __post_init__(self) -> None:
        if self.rat is None:
            self.rat = EUTRAN if self.version == 2 else UTRAN

    @property
    def teid_up(self) -> int:
        """Of G-PDUs to the gateway; 0 without a session."""
        return self.gateway_user.teid if self.gateway_user else 0

    @property
    def teid_down(self) -> int:
        """Of G-PDUs from the gateway; 0 without a session."""
        return self.user.teid if self.user else 0

    def forget(self) -> None:
        """The session is over; the cause of its end stays."""
        self.control = self.user = self.next_control = self.next_user = self.next_rat = None
        self.gateway_control = self.gateway_user = None
        self.ipv4 = self.ipv6 = self.authenticated = self.charging_id = None
        self.dns = ()
