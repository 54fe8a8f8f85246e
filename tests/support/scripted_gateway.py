"""A P-GW or GGSN of few words, by scapy: it reads what comes by scapy's dissectors and answers by script.

It shares no code with the engine, nor with the stamped messages and the reader of gateway_sim.
"""

from typing import Any

from scapy.contrib import gtp as v1
from scapy.contrib import gtp_v2 as v2

Peer = tuple[str, int]
ADDRESS = "10.9.0.1"
PEER = (ADDRESS, 2123)
USER_ADDRESS = "10.9.0.2"
ACCEPTED = {1: 128, 2: 16}
DNS = ("210.130.0.1", "210.130.1.1")
DNS6 = "2001:240:bb81::10"
PREFIX = "2001:db8:0:7::"


def scapy_of(data: bytes) -> Any:
    """A GTP-C message, dissected."""
    return (v2.GTPHeader if data[0] >> 5 == 2 else v1.GTPHeader)(data)


def elements(message: Any) -> list[Any]:
    """Its information elements."""
    return list(getattr(message.payload, "IE_list", None) or ())


def element(message: Any, kind: int, nth: int = 0) -> Any:
    """The n-th element of a type; None where it is missing."""
    found = [item for item in elements(message) if item.ietype == kind]
    return found[nth] if nth < len(found) else None


def options() -> list[Any]:
    """Authenticate-Ack, a Nak of IPCP with name servers, and a container with an IPv6 one."""
    ack = b"\xc0\x23\x05\x02\x01\x00\x05\x00"
    servers = b"".join(
        bytes([kind, 6]) + bytes(map(int, server.split(".")))
        for kind, server in zip((129, 131), DNS, strict=True)
    )
    nak = b"\x80\x21\x10\x03\x01\x00\x10" + servers
    container = bytes(
        v2.PCO_DNS_Server_IPv6(type=3, length=16, address=0x20010240BB8100000000000000000010)
    )
    return [ack, nak, container]


class ScriptedGateway:
    """Answers each request once it is asked; `cause` refuses all that come while it is set."""

    def __init__(self, restarts: int = 3) -> None:
        self.restarts = restarts
        self.cause: int | None = None
        self.without: set[int] = set()
        """element types that its answers leave out"""
        self.asked: list[Any] = []
        self.sessions: dict[int, tuple[int, int]] = {}
        """control TEID here -> (control TEID there, number of the session)"""
        self.addresses = 0

    def answer(self, data: bytes) -> bytes:
        """The answer to one request."""
        message = scapy_of(data)
        self.asked.append(message)
        if message.version == 2:
            return self._answer2(message)
        return self._answer1(message)

    # --- version 2 --------------------------------------------------------------------------------

    def _answer2(self, message: Any) -> bytes:
        if message.gtp_type == 1:
            return self._pack2(2, message.seq, None, [self._recovery2()])
        make = {32: self._created2, 34: self._modified2, 36: self._deleted2}[message.gtp_type]
        teid, body = make(message)
        body = [item for item in body if item.ietype not in self.without]
        return self._pack2(message.gtp_type + 1, message.seq, teid, body)

    def _pack2(self, kind: int, sequence: int, teid: int | None, body: list[Any]) -> bytes:
        octets = b"".join(bytes(item) for item in body)
        header = v2.GTPHeader(
            P=0, T=int(teid is not None), gtp_type=kind, teid=teid or 0, seq=sequence, length=None
        )
        header.length = len(octets) + (4 if teid is None else 8)
        return bytes(header) + octets

    def _recovery2(self) -> Any:
        return v2.IE_RecoveryRestart(restart_counter=self.restarts)

    def _created2(self, message: Any) -> tuple[int, list[Any]]:
        theirs = element(message, 87).GRE_Key
        if self.cause is not None:
            return theirs, [v2.IE_Cause(Cause=self.cause)]
        mine, number = self._open(theirs)
        wanted = element(message, 99).PDN_type
        paa = v2.IE_PAA(PDN_type=wanted)
        if wanted != 2:
            paa.ipv4 = f"10.1.0.{number}"
        if wanted != 1:
            paa.ipv6_prefix_length, paa.ipv6 = 64, 0x20010DB8000000070000000000000001
        user = v2.IE_FTEID(
            instance=2, ipv4_present=1, InterfaceType=5, GRE_Key=mine + 1, ipv4=USER_ADDRESS
        )
        bearer = [v2.IE_EPSBearerID(EBI=5), v2.IE_Cause(Cause=16), user]
        octets = b"\x80" + b"".join(options())
        return theirs, [
            v2.IE_Cause(Cause=16),
            v2.IE_FTEID(instance=1, ipv4_present=1, InterfaceType=7, GRE_Key=mine, ipv4=ADDRESS),
            paa,
            v2.IE_APN_Restriction(APN_Restriction=0),
            v2.IE_NotImplementedTLV(ietype=78, length=len(octets), data=octets),
            v2.IE_BearerContext(IE_list=[*bearer, v2.IE_ChargingID(ChargingID=mine)]),
            self._recovery2(),
        ]

    def _open(self, theirs: int) -> tuple[int, int]:
        self.addresses += 1
        mine = 0x0A000000 + 0x100 * self.addresses
        self.sessions[mine] = (theirs, self.addresses)
        return mine, self.addresses

    def _modified2(self, message: Any) -> tuple[int, list[Any]]:
        theirs, number = self.sessions.get(message.teid, (0, 0))
        if self.cause is not None or not number:
            return theirs, [v2.IE_Cause(Cause=self.cause or 64)]
        theirs = element(message, 87).GRE_Key
        self.sessions[message.teid] = (theirs, number)
        bearer = v2.IE_BearerContext(IE_list=[v2.IE_EPSBearerID(EBI=5), v2.IE_Cause(Cause=16)])
        return theirs, [v2.IE_Cause(Cause=16), bearer, self._recovery2()]

    def _deleted2(self, message: Any) -> tuple[int, list[Any]]:
        theirs, number = self.sessions.get(message.teid, (0, 0))
        if self.cause is not None or not number:
            return theirs, [v2.IE_Cause(Cause=self.cause or 64)]
        del self.sessions[message.teid]
        return theirs, [v2.IE_Cause(Cause=16), self._recovery2()]

    # --- version 1 --------------------------------------------------------------------------------

    def _answer1(self, message: Any) -> bytes:
        if message.gtp_type == 1:
            return self._pack1(2, message.seq, 0, [self._recovery1()])
        make = {16: self._created1, 18: self._modified1, 20: self._deleted1}[message.gtp_type]
        teid, body = make(message)
        body = [item for item in body if item.ietype not in self.without]
        return self._pack1(message.gtp_type + 1, message.seq, teid, body)

    def _pack1(self, kind: int, sequence: int, teid: int, body: list[Any]) -> bytes:
        octets = b"".join(bytes(item) for item in body)
        size = len(octets) + 4
        return (
            bytes(v1.GTPHeader(S=1, gtp_type=kind, length=size, teid=teid, seq=sequence)) + octets
        )

    def _recovery1(self) -> Any:
        return v1.IE_Recovery(restart_counter=self.restarts)

    def _ends1(self, mine: int) -> list[Any]:
        return [v1.IE_TEIDI(TEIDI=mine + 1), v1.IE_TEICP(TEICI=mine)]

    def _addresses1(self) -> list[Any]:
        return [
            v1.IE_GSNAddress(length=4, ipv4_address=ADDRESS),
            v1.IE_GSNAddress(length=4, ipv4_address=USER_ADDRESS),
            v1.IE_QoS(length=4, allocation_retention_prioiry=2, mean_troughput=31),
        ]

    def _created1(self, message: Any) -> tuple[int, list[Any]]:
        theirs = element(message, 17).TEICI
        if self.cause is not None:
            return theirs, [v1.IE_Cause(CauseValue=self.cause)]
        mine, number = self._open(theirs)
        wanted = element(message, 128).PDPTypeNumber
        size = {0x21: 6, 0x57: 18, 0x8D: 22}[wanted]
        eua = v1.IE_EndUserAddress(
            length=size,
            PDPTypeNumber=wanted,
            PDPAddress=f"10.1.0.{number}",
            IPv6_PDPAddress=PREFIX + "1",
        )
        octets = b"\x80" + b"".join(options())
        return theirs, [
            v1.IE_Cause(CauseValue=128),
            v1.IE_ReorderingRequired(),
            self._recovery1(),
            *self._ends1(mine),
            v1.IE_ChargingId(Charging_id=mine),
            eua,
            v1.IE_ProtocolConfigurationOptions(length=len(octets), Protocol_Configuration=octets),
            *self._addresses1(),
        ]

    def _modified1(self, message: Any) -> tuple[int, list[Any]]:
        theirs, number = self.sessions.get(message.teid, (0, 0))
        if self.cause is not None or not number:
            return theirs, [v1.IE_Cause(CauseValue=self.cause or 192)]
        theirs = element(message, 17).TEICI
        self.sessions[message.teid] = (theirs, number)
        ends = [*self._ends1(message.teid), v1.IE_ChargingId(Charging_id=message.teid)]
        return theirs, [v1.IE_Cause(CauseValue=128), *ends, *self._addresses1()]

    def _deleted1(self, message: Any) -> tuple[int, list[Any]]:
        theirs, number = self.sessions.get(message.teid, (0, 0))
        if self.cause is not None or not number:
            return theirs, [v1.IE_Cause(CauseValue=self.cause or 192)]
        del self.sessions[message.teid]
        return theirs, [v1.IE_Cause(CauseValue=128)]

    # --- what it asks by itself -------------------------------------------------------------------

    def delete(self, version: int, sequence: int, mine: int, cause: int = 8) -> bytes:
        """Delete Bearer or PDP Context Request for the session of a control TEID of this gateway."""
        theirs = self.sessions.pop(mine)[0]
        if version == 2:
            body = [v2.IE_EPSBearerID(EBI=5), v2.IE_Cause(Cause=cause)]
            return self._pack2(99, sequence, theirs, body)
        ends = [v1.IE_Teardown(indicator=255), v1.IE_NSAPI(sparebits=0, NSAPI=5)]
        return self._pack1(20, sequence, theirs, ends)

    def echo(self, version: int, sequence: int) -> bytes:
        """Echo Request."""
        if version == 2:
            return self._pack2(1, sequence, None, [self._recovery2()])
        return self._pack1(1, sequence, 0, [])
