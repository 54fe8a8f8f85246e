"""A small core network that talks: control messages and G-PDUs between nodes, as frames and as messages."""

from dataclasses import dataclass, field, replace
from typing import Any

from engine.signalling import codec
from engine.signalling.follower import Follower
from engine.signalling.messages import (
    EUTRAN,
    GN_GGSN_C,
    GN_GGSN_U,
    GN_SGSN_C,
    GN_SGSN_U,
    S1U_ENODEB,
    S1U_SGW,
    S5_PGW_C,
    S5_PGW_U,
    S5_SGW_C,
    S5_SGW_U,
    S11_MME_C,
    S11_SGW_C,
    UTRAN,
    Bearer,
    Fteid,
    Kind,
    Message,
)
from engine.signalling.sessions import Learnt
from tests.support import packets

MME, SGW, PGW, SGW2 = "192.168.1.10", "192.168.1.1", "192.168.1.2", "192.168.1.3"
ENODEB, ENODEB2 = "192.168.1.20", "192.168.1.21"
SGSN, GGSN = "192.168.1.30", "192.168.1.31"
IMSI, IMSI2 = "440100000000001", "440100000000002"
MS = 10**6
ACCEPTED = {1: 128, 2: 16}
NOT_FOUND = {1: 192, 2: 64}

Said = tuple[int, str, str, Message]
"""ns since 1970, source, destination"""


def answered(request: Message, **fields: Any) -> Message:
    """An answer that accepts."""
    kind = Kind(request.kind.replace("-request", "-response"))
    given = {"cause": ACCEPTED[request.version], **fields}
    return Message(request.version, kind, request.sequence, **given)


@dataclass
class Story:
    """What happens on the wire, a millisecond apart; `frames` are those of a capture of it."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    at_ns: int = packets.TIME_NS
    sequence: int = 100

    def say(self, source: str, destination: str, message: Message) -> Message:
        """A control message goes from one node to another."""
        self.at_ns += MS
        self.said.append((self.at_ns, source, destination, message))
        datagram = packets.udp(codec.encode(message), 2123, 2123)
        outer = packets.ipv4(datagram, source, destination)
        self.frames.append((self.at_ns, packets.ethernet(outer)))
        return message

    def ask(
        self, source: str, destination: str, request: Message, answer: Message | None = None
    ) -> None:
        """A request and its answer (one that only accepts, where none is given)."""
        self.sequence += 1
        asked = self.say(source, destination, replace(request, sequence=self.sequence))
        answer = answered(asked) if answer is None else replace(answer, sequence=self.sequence)
        self.say(destination, source, answer)

    def g_pdu(
        self, teid: int, source: str, receiver: str, inner: tuple[str, str], size: int = 100
    ) -> None:
        """A G-PDU with a UDP packet of `size` bytes between two inner addresses."""
        self.at_ns += MS
        if ":" in inner[0]:
            packet = packets.ipv6(packets.udp(bytes(size - 48)), *inner)
        else:
            packet = packets.ipv4(packets.udp(bytes(size - 28)), *inner)
        message = packets.gtp(packet, teid=teid)
        self.frames.append(
            (self.at_ns, packets.ethernet(packets.tunnel(message, source, receiver)))
        )


def follow(said: list[Said], follower: Follower | None = None) -> tuple[Follower, list[Learnt]]:
    """A follower that was told all of it, and what it learnt."""
    follower = follower or Follower()
    found = []
    for at_ns, source, destination, message in said:
        found += follower.take(message, (source, 2123), (destination, 2123), at_ns)
    return follower, found


def s5_create(
    number: int = 1,
    *,
    imsi: str = IMSI,
    sgw: str = SGW,
    bearer_id: int = 5,
    apn: str = "iijmio.jp",
) -> tuple[Message, Message]:
    """Create Session at S5/S8. Session `number`: address 10.1.0.number, TEIDs in hundreds of it."""
    base = 100 * number
    request = Message(
        2,
        Kind.CREATE_REQUEST,
        0,
        0,
        imsi=imsi,
        msisdn=f"81{number:010}",
        rat=EUTRAN,
        apn=apn,
        pdn_type=1,
        control=Fteid(S5_SGW_C, base + 1, sgw),
        bearers=(Bearer(bearer_id, (Fteid(S5_SGW_U, base + 2, sgw),), qci=9),),
    )
    answer = answered(
        request,
        teid=base + 1,
        address4=f"10.1.0.{number}",
        control=Fteid(S5_PGW_C, base + 3, PGW),
        bearers=(Bearer(bearer_id, (Fteid(S5_PGW_U, base + 4, PGW),), cause=16),),
    )
    return request, answer


def s11_create(
    number: int = 1, *, sgw: str = SGW, moves: bool = False, named: bool = True, **fields: Any
) -> tuple[Message, Message]:
    """Create Session at S11, beside `s5_create`; `moves`: to another S-GW; `named`: the P-GW's end is."""
    base = 100 * number
    request, answer = s5_create(number, sgw=sgw, **fields)
    bearer_id = request.bearers[0].bearer_id
    control = Fteid(S5_PGW_C, base + 3 if moves else 0, PGW)
    pgw_user = Fteid(S5_PGW_U, base + 4, PGW)
    request = replace(
        request,
        control=Fteid(S11_MME_C, base + 11, MME),
        pgw=control if named else None,
        bearers=(Bearer(bearer_id, qci=9),),
    )
    answer = replace(
        answer,
        teid=base + 11,
        control=Fteid(S11_SGW_C, base + 12, sgw),
        pgw=Fteid(S5_PGW_C, base + 3, PGW) if named else None,
        bearers=(Bearer(bearer_id, (Fteid(S1U_SGW, base + 13, sgw), pgw_user), cause=16),),
    )
    return request, answer


def s11_modify(
    number: int = 1, *, enodeb: str = ENODEB, teid: int = 0, bearer_id: int = 5
) -> tuple[Message, Message]:
    """Modify Bearer at S11: the terminal is at this eNodeB."""
    base = 100 * number
    end = Fteid(S1U_ENODEB, teid or base + 14, enodeb)
    request = Message(2, Kind.MODIFY_REQUEST, 0, base + 12, bearers=(Bearer(bearer_id, (end,)),))
    back = Bearer(bearer_id, (Fteid(S1U_SGW, base + 13, SGW),), cause=16)
    return request, answered(request, teid=base + 11, bearers=(back,))


def s5_move(number: int = 1, *, sgw: str = SGW2, bearer_id: int = 5) -> tuple[Message, Message]:
    """Modify Bearer at S5/S8 from another S-GW, with new ends of its own."""
    base = 100 * number
    bearer = Bearer(bearer_id, (Fteid(S5_SGW_U, base + 22, sgw),))
    request = Message(
        2,
        Kind.MODIFY_REQUEST,
        0,
        base + 3,
        control=Fteid(S5_SGW_C, base + 21, sgw),
        bearers=(bearer,),
    )
    return request, answered(request, teid=base + 21, bearers=(Bearer(bearer_id, cause=16),))


def s5_dedicate(number: int = 1, *, bearer_id: int = 6, linked: int = 5) -> tuple[Message, Message]:
    """Create Bearer at S5/S8: the P-GW offers an end, the S-GW answers with its own and an identity."""
    base = 100 * number
    offer = Bearer(0, (Fteid(S5_PGW_U, base + 34, PGW),), qci=1)
    request = Message(
        2, Kind.CREATE_BEARER_REQUEST, 0, base + 1, linked_bearer=linked, bearers=(offer,)
    )
    ends = (Fteid(S5_SGW_U, base + 32, SGW), Fteid(S5_PGW_U, base + 34, PGW))
    return request, answered(request, teid=base + 3, bearers=(Bearer(bearer_id, ends, cause=16),))


def s5_take_back(number: int = 1, *, bearer_id: int | None = None) -> tuple[Message, Message]:
    """Delete Bearer at S5/S8: a dedicated bearer, or (None) the default one and all with it."""
    base = 100 * number
    bearers = () if bearer_id is None else (Bearer(bearer_id, instance=1),)
    request = Message(
        2,
        Kind.DELETE_BEARER_REQUEST,
        0,
        base + 1,
        linked_bearer=5 if bearer_id is None else None,
        bearers=bearers,
    )
    return request, answered(request, teid=base + 3)


def delete(teid: int, back: int, *, bearer_id: int = 5) -> tuple[Message, Message]:
    """Delete Session, to the end with this TEID; the answer goes to `back`."""
    request = Message(2, Kind.DELETE_REQUEST, 0, teid, linked_bearer=bearer_id)
    return request, answered(request, teid=back)


def gn_create(
    number: int = 1, *, imsi: str | None = IMSI, **fields: Any
) -> tuple[Message, Message]:
    """Create PDP Context at Gn, NSAPI 5; TEIDs and address as in `s5_create`."""
    base = 100 * number
    request = Message(
        1,
        Kind.CREATE_REQUEST,
        0,
        0,
        imsi=imsi,
        msisdn=f"81{number:010}",
        rat=UTRAN,
        apn="iijmio.jp",
        pdn_type=1,
        control=Fteid(GN_SGSN_C, base + 1, SGSN),
        bearers=(Bearer(5, (Fteid(GN_SGSN_U, base + 2, SGSN),)),),
    )
    answer = answered(
        request,
        teid=base + 1,
        address4=f"10.1.0.{number}",
        control=Fteid(GN_GGSN_C, base + 3, GGSN),
        bearers=(Bearer(5, (Fteid(GN_GGSN_U, base + 4, GGSN),)),),
        charging_id=7,
    )
    return replace(request, **fields), answer


def changes(learnt: list[Learnt]) -> list[tuple[str, int]]:
    return [(one.change.value, one.session.number) for one in learnt]


def billed(learnt: list[Learnt], at: int = -1) -> set[tuple[int, str, str]]:
    """TEID, receiver and direction of what the session has now."""
    return {(t.teid, t.receiver, t.direction) for t in learnt[at].session.billed}
