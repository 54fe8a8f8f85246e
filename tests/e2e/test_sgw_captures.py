"""Answers of real gateways, as own code reads them, held against what tshark said of them."""

import csv
from collections import Counter
from pathlib import Path

from gateway_sim.signalling import heard
from gateway_sim.signalling.control import Kind
from gateway_sim.signalling.heard import PGW_CONTROL, PGW_USER, Heard
from tests.support.gtpc import datagrams
from tests.support.gtpc_truth import Row, numbers, of, texts

ANSWERS = (Kind.CREATE_RESPONSE, Kind.MODIFY_RESPONSE, Kind.DELETE_RESPONSE, Kind.ECHO_RESPONSE)


def answers(shared: Path) -> list[tuple[str, Heard, Row]]:
    """(capture and frame, what was read, tshark's row) of every answer in the captures."""
    found = []
    for truth in sorted((shared / "captures" / "gtp").glob("*.gtpc.tsv")):
        payloads = dict(datagrams(Path(str(truth).removesuffix(".gtpc.tsv"))))
        with truth.open(encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                octets = payloads.get(int(row["frame.number"]))
                read = heard.read(octets) if octets else Heard()
                if read.kind in ANSWERS:
                    found.append((f"{truth.name}:{row['frame.number']}", read, row))
    return found


def check(read: Heard, row: Row) -> None:
    """AssertionError where a column is not what was read."""
    version = {1: "gtp", 2: "gtpv2"}[read.version]
    control = read.control.teid if read.control else None
    user = read.user.teid if read.user else None
    assert [read.sequence] == numbers(row, {1: "gtp.seq_number", 2: "gtpv2.seq"}[read.version])
    assert texts(read.teid) == texts(*numbers(row, f"{version}.teid"))
    assert texts(read.cause) == texts(*numbers(row, f"{version}.cause")[:1])
    if read.version == 1:
        assert texts(read.ipv4) == of(row, "gtp.user_ipv4")
        assert texts(control) == texts(*numbers(row, "gtp.teid_cp"))
        assert texts(user) == texts(*numbers(row, "gtp.teid_data"))
        return
    assert texts(read.ipv4) == of(row, "gtpv2.pdn_addr_and_prefix.ipv4")
    ends = zip(
        numbers(row, "gtpv2.f_teid_interface_type"),
        numbers(row, "gtpv2.f_teid_gre_key"),
        strict=True,
    )
    first: dict[int, int] = {}
    for interface, teid in ends:
        first.setdefault(interface, teid)
    assert (control, user) == (first.get(PGW_CONTROL), first.get(PGW_USER))


def test_answers_of_real_gateways_are_read_as_tshark_reads_them(shared: Path) -> None:
    """N2"""
    seen: Counter[tuple[int, str]] = Counter()
    broken = []
    for name, read, row in answers(shared):
        if read.fault:
            broken.append((name.split("__")[0], read.fault))
            continue
        try:
            check(read, row)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        seen[read.version, str(read.kind)] += 1
    assert broken == [("pcap4j", "element")]  # no echo has such a payload
    assert seen[2, Kind.CREATE_RESPONSE] >= 10
    assert seen[1, Kind.CREATE_RESPONSE] >= 2
    assert seen[2, Kind.DELETE_RESPONSE] >= 2
