"""A GTP-C message as plain data, in one form for GTPv2-C (TS 29.274) and GTPv1-C (TS 29.060).

What the two versions call differently has the name of version 2: a PDP context is a session with one
bearer, NSAPI is its bearer identity, SGSN and GGSN stand for S-GW and P-GW.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a message is for; the message types of version 2 and 1 are in brackets."""

    ECHO_REQUEST = "echo-request"  # (1; 1)
    ECHO_RESPONSE = "echo-response"  # (2; 2)
    VERSION_NOT_SUPPORTED = "version-not-supported"  # (3; 3)
    CREATE_REQUEST = "create-request"  # Create Session / PDP Context Request (32; 16)
    CREATE_RESPONSE = "create-response"  # (33; 17)
    MODIFY_REQUEST = "modify-request"  # Modify Bearer / Update PDP Context Request (34; 18)
    MODIFY_RESPONSE = "modify-response"  # (35; 19)
    DELETE_REQUEST = (
        "delete-request"  # Delete Session / PDP Context Request, either way in v1 (36; 20)
    )
    DELETE_RESPONSE = "delete-response"  # (37; 21)
    CREATE_BEARER_REQUEST = "create-bearer-request"  # (95)
    CREATE_BEARER_RESPONSE = "create-bearer-response"  # (96)
    UPDATE_BEARER_REQUEST = "update-bearer-request"  # (97)
    UPDATE_BEARER_RESPONSE = "update-bearer-response"  # (98)
    DELETE_BEARER_REQUEST = "delete-bearer-request"  # (99)
    DELETE_BEARER_RESPONSE = "delete-bearer-response"  # (100)
    RELEASE_BEARERS_REQUEST = "release-bearers-request"  # Release Access Bearers, S11 (170)
    RELEASE_BEARERS_RESPONSE = "release-bearers-response"  # (171)
    OTHER = "other"  # a well-formed header of another type; only the header is read


# Interface types of an F-TEID (TS 29.274 8.22); those below 0 are the ends of a Gn/Gp tunnel (version 1).
S1U_ENODEB, S1U_SGW = 0, 1
S5_SGW_U, S5_PGW_U, S5_SGW_C, S5_PGW_C = 4, 5, 6, 7
S11_MME_C, S11_SGW_C = 10, 11
GN_SGSN_C, GN_GGSN_C, GN_SGSN_U, GN_GGSN_U = -1, -2, -3, -4

# RAT types (TS 29.274 8.17; TS 29.060 7.7.50 has the same numbers).
UTRAN, GERAN, WLAN, GAN, HSPA_EVOLUTION, EUTRAN = 1, 2, 3, 4, 5, 6
RAT_NAMES = {
    UTRAN: "UTRAN",
    GERAN: "GERAN",
    WLAN: "WLAN",
    GAN: "GAN",
    HSPA_EVOLUTION: "HSPA Evolution",
    EUTRAN: "EUTRAN",
}

PDN_IPV4, PDN_IPV6, PDN_IPV4V6 = 1, 2, 3
"""PDN type (TS 29.274 8.34); version 1's End User Address is translated"""


@dataclass(frozen=True, slots=True)
class Fteid:
    """One end of a tunnel: interface type, TEID, and at least one address as text."""

    interface: int
    teid: int
    ipv4: str | None = None
    ipv6: str | None = None

    @property
    def address(self) -> str:
        """The address to send to: IPv4 where there is one."""
        return self.ipv4 or self.ipv6 or ""


@dataclass(frozen=True, slots=True)
class Pap:
    """PAP Authenticate-Request in the PCO (RFC 1334 2.2.1); `identifier` goes into the answer."""

    user: bytes
    password: bytes
    identifier: int = 0


@dataclass(frozen=True, slots=True)
class Chap:
    """CHAP challenge and response, both in the PCO (RFC 1994); the terminal chose the challenge."""

    user: bytes
    challenge: bytes
    response: bytes
    identifier: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """Protocol Configuration Options (TS 24.008 10.5.6.3): what of them is asked, offered and answered.

    In a request `wants_dns4` and `wants_dns6` (containers 000D, 0003, or IPCP options 129, 131) ask for
    servers, which an answer lists in `dns`; `ipcp` is the Configure-Request as it came, to be answered.
    `auth_answer` is, in an answer, an (ok, identifier, protocol 0xC023 or 0xC223) to be told.
    """

    pap: Pap | None = None
    chap: Chap | None = None
    ipcp: bytes | None = None
    wants_dns4: bool = False
    wants_dns6: bool = False
    dns: tuple[str, ...] = ()
    auth_answer: tuple[bool, int, int] | None = None
    protocols: tuple[int, ...] = ()
    """protocol and container ids in the order in which they stand"""


@dataclass(frozen=True, slots=True)
class Bearer:
    """One bearer context; of version 1 the PDP context itself. `bearer_id`: EBI or NSAPI."""

    bearer_id: int
    fteids: tuple[Fteid, ...] = ()
    cause: int | None = None
    qci: int | None = None
    instance: int = 0
    """which list it stands in: 0; 1 for those marked for removal (Create, Modify) or, in a Delete Bearer
    Request, named by identity alone"""
    tft: bytes | None = None
    """traffic flow template as it came (TS 24.008 10.5.6.12), its lengths checked"""

    def fteid(self, *interfaces: int) -> Fteid | None:
        """The first F-TEID of one of these interface types."""
        return next((f for f in self.fteids if f.interface in interfaces), None)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Of what it does not carry, the field is None or empty.

    `teid` is the header's; None where the header has none. `control` is the F-TEID of the sender, `pgw`
    that of the P-GW where an S-GW is told it (IE instance 1). A P-GW's own answer to Create Session has its
    F-TEID in instance 1, too: here it is `control`, read and written.
    `address4` and `address6` (an IPv6 prefix, "2001:db8::/64") are those of PAA or End User Address; None
    where they ask for any. `network` is (MCC, MNC). AMBR is (up, down) in kbit/s.
    """

    version: int
    kind: Kind
    sequence: int
    teid: int | None = None
    cause: int | None = None
    imsi: str | None = None
    msisdn: str | None = None
    imei: str | None = None
    apn: str | None = None
    rat: int | None = None
    network: tuple[str, str] | None = None
    pdn_type: int | None = None
    address4: str | None = None
    address6: str | None = None
    options: Options | None = None
    control: Fteid | None = None
    pgw: Fteid | None = None
    bearers: tuple[Bearer, ...] = ()
    linked_bearer: int | None = None
    recovery: int | None = None
    ambr_kbps: tuple[int, int] | None = None
    charging_id: int | None = None
    selection_mode: int | None = None
    teardown: bool = False
    offending: tuple[int, int] | None = None
    """IE type and instance that a cause of refusal names"""
    message_type: int = 0
    """as on the wire, for Kind.OTHER"""
    piggybacked: "Message | None" = None
    apn_restriction: int | None = None
    indication: bytes | None = None
    """version 2: the flags as they came (TS 29.274 8.12)"""
    location: bytes | None = None
    """user location information as it came (TS 29.274 8.21; TS 29.060 7.7.51)"""
    qos: bytes | None = None
    """version 1: quality of service profile as it came (TS 29.060 7.7.34); for None a default is written"""

    @property
    def is_request(self) -> bool:
        return self.kind.endswith("-request")
