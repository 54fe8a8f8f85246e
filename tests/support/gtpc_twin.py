"""Sessions read from the columns of a `.gtpc.tsv` alone, in the plainest way: what replays must find, too.

It knows what the shared captures hold and no more: requests that are answered once, one leg at S5/S8 or Gn
and perhaps one at S11, no handover to another S-GW, no restarts.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

Row = dict[str, str]
Tunnel = tuple[int, str]
"""TEID, IPv4 address of its receiver"""

CONTROL = {"6", "7", "10", "11"}
CORE_DATA = {"4", "5"}


@dataclass
class Told:
    """One session, as the rows have it."""

    imsi: str
    msisdn: str
    apn: str
    bearer: str
    addresses: list[str]
    opened: str
    closed: str | None = None
    core: bool = True
    billed: set[Tunnel] = field(default_factory=set)
    aside: set[Tunnel] = field(default_factory=set)

    @property
    def tunnels(self) -> set[Tunnel]:
        return self.billed | self.aside


def rows_of(path: Path) -> list[Row]:
    """Rows of the control port; those of UDP 2152 and 3386 are other protocols."""
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return [row for row in rows if "2123" in (row["udp.srcport"], row["udp.dstport"])]


def first(text: str) -> str:
    return text.split(",")[0]


def ends(row: Row) -> list[tuple[str, int, str]]:
    """(interface type, TEID, IPv4 address) of a row of version 2; an end of TEID 0 may lack its address."""
    kinds = row["gtpv2.f_teid_interface_type"].split(",")
    teids = [int(teid or "0", 0) for teid in row["gtpv2.f_teid_gre_key"].split(",")]
    addresses = [one for one in row["gtpv2.f_teid_ipv4"].split(",") if one]
    pairs = list(zip(kinds, teids, strict=True))
    if len(addresses) < len(pairs):
        pairs = [pair for pair in pairs if pair[1]]
    return [(kind, teid, at) for (kind, teid), at in zip(pairs, addresses, strict=True) if teid]


class Reading:
    """Goes through the rows once."""

    def __init__(self, rows: list[Row]) -> None:
        self.sessions: list[Told] = []
        self.reach: dict[tuple[str, int], list[Told]] = {}
        """control ends: address, TEID"""
        asked: dict[tuple[str, ...], Row] = {}
        for row in rows:
            two = row["gtpv2.message_type"]
            kind = int(two) if two else int(row["gtp.message"] or "0", 0)
            number = row["gtpv2.seq"] if two else row["gtp.seq_number"]
            there = (row["ip.src"], row["udp.srcport"], row["ip.dst"], row["udp.dstport"])
            asked.setdefault((*there, number, str(kind)), row)
            back = (*there[2:], *there[:2], number, str(kind - 1))
            request = asked.pop(back, None)
            if request is not None:
                self.pair(kind, request, row, bool(two))

    def pair(self, kind: int, request: Row, answer: Row, two: bool) -> None:
        if two and 16 <= int(first(answer["gtpv2.cause"]) or 0) <= 19:
            does = {33: self.create, 35: self.modify, 37: self.delete, 96: self.dedicate}
            if kind in does:
                does[kind](request, answer)
        elif not two and kind == 0x11 and answer["gtp.cause"] == "128":
            self.context(request, answer)

    def create(self, request: Row, answer: Row) -> None:
        imsi, bearer = request["e212.imsi"], first(request["gtpv2.ebi"])
        core = "6" in request["gtpv2.f_teid_interface_type"].split(",")
        mine = [s for s in self.sessions if s.imsi == imsi and s.bearer == bearer and not s.closed]
        if mine and not core:
            told = mine[0]
        else:
            fours = answer["gtpv2.pdn_addr_and_prefix.ipv4"]
            sixes = answer["gtpv2.pdn_addr_and_prefix.ipv6"]
            told = Told(
                imsi,
                request["e164.msisdn"],
                request["gtpv2.apn"],
                bearer,
                [one for one in (fours, sixes) if one],
                answer["frame.time_epoch"],
                core=core,
            )
            self.sessions.append(told)
        for row in (request, answer):
            self.add(told, row)
            for kind, teid, address in ends(row):
                if kind in CONTROL:
                    self.reach.setdefault((address, teid), []).append(told)

    def add(self, told: Told, row: Row) -> None:
        for kind, teid, address in ends(row):
            if kind not in CONTROL:
                at_core = kind in CORE_DATA
                (told.billed if at_core == told.core else told.aside).add((teid, address))

    def about(self, request: Row) -> list[Told]:
        """Sessions that a request is about: by its receiver and TEID, and a bearer that it names."""
        end = request["ip.dst"], int(request["gtpv2.teid"], 0)
        named = request["gtpv2.ebi"].split(",")
        return [s for s in self.reach.get(end, []) if not s.closed and s.bearer in named]

    def modify(self, request: Row, answer: Row) -> None:
        for told in self.about(request)[:1]:
            self.add(told, request)
            self.add(told, answer)

    def dedicate(self, request: Row, answer: Row) -> None:
        self.modify(request, answer)

    def delete(self, request: Row, answer: Row) -> None:
        """The answer of the P-GW comes before that of the S-GW."""
        for told in self.about(request)[:1]:
            told.closed = answer["frame.time_epoch"]

    def context(self, request: Row, answer: Row) -> None:
        """Version 1: the control address stands before that of the user plane."""
        down = int(request["gtp.teid_data"], 0), request["gtp.gsn_ipv4"].split(",")[1]
        up = int(answer["gtp.teid_data"], 0), answer["gtp.gsn_ipv4"].split(",")[1]
        told = Told(
            request["e212.imsi"],
            request["e164.msisdn"],
            request["gtp.apn"],
            first(request["gtp.nsapi"]),
            [answer["gtp.user_ipv4"]],
            answer["frame.time_epoch"],
            billed={down, up},
        )
        self.sessions.append(told)


def sessions_of(path: Path) -> list[Told]:
    """The sessions in a `.gtpc.tsv`, in the order of opening."""
    return Reading(rows_of(path)).sessions
