"""docs/gateway.md says what the code does: its tables are made from it, that of causes by asking."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from engine.config import Access
from engine.gateway import exchange, limits, pgw, records
from engine.gateway.connections import ENDINGS
from engine.signalling.causes import Cause, named, number
from engine.signalling.messages import (
    PDN_IPV4V6,
    PDN_IPV6,
    WLAN,
    Options,
    Pap,
)
from engine.subscribers import Book
from tests.support.gateway import T0
from tests.support.pgw import OTHER, World, create, delete, imsi_of, sims, world

BLOCK = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- end -->", re.S)
UNNAMED = 'no serving network (version 1: with `unnamed_network` "refuse")'
WITHOUT_IPV6 = Book((replace(sims(8).contracts[0], ipv6=False),))


def suspend(here: World, version: int) -> None:
    here.engine.suspend("l1", at_ns=T0)


def replaced(here: World, version: int) -> None:
    here.engine.replace_sim("l1", iccid="8981100000000000009", imsi=imsi_of(9), at_ns=T0)


def others(count: int) -> Callable[[World, int], None]:
    def attach(here: World, version: int) -> None:
        for n in range(2, 2 + count):
            here.attach(version, n)

    return attach


def taken(here: World, version: int) -> None:
    here.attach(version, 2, peer=OTHER, teid_down=2_001)


Case = tuple[str, str, dict[str, Any], dict[str, Any], Callable[[World, int], None] | None]
CASES: list[Case] = [
    ("all is as it should be", "N1", {}, {}, None),
    ("IPv4 and IPv6 without the option: IPv4", "O1", {}, {"pdn_type": PDN_IPV4V6}, None),
    ("IPv6 without the option", "O1", {}, {"pdn_type": PDN_IPV6}, None),
    ("another APN", "N1", {}, {"apn": "internet"}, None),
    ("another serving network", "N5", {}, {"network": ("440", "20")}, None),
    (UNNAMED, "N5", {"unnamed_network": "refuse"}, {"network": None}, None),
    ("another radio access", "N4", {}, {"rat": WLAN}, None),
    ("wrong name or password", "N1", {}, {"options": Options(pap=Pap(b"mio@iij", b"x"))}, None),
    ("no name and password", "N1", {}, {"options": None}, None),
    ("a SIM that nobody entered", "N6", {}, {"imsi": "440109999999999"}, None),
    ("a card that was replaced, or is lost", "L2, L3", {}, {}, replaced),
    ("a suspended line", "L1", {}, {}, suspend),
    ("an ended line or contract", "L4", {"subscribers": sims(1, ends="2013-10")}, {}, None),
    ("all addresses are given out", "N2", {"sessions_max": 9}, {}, others(5)),
    ("as many sessions as there may be", "B48", {"sessions_max": 2}, {}, others(2)),
    ("more in a second than a peer may ask for", "B48", {"create_per_s_max": 1}, {}, others(1)),
    ("an end that cannot be sent to", "B42", {}, {"peer": "0.0.0.0"}, None),
    ("an end of a tunnel that is another peer's", "B50", {}, {"control": None}, taken),
    ("a TEID in the header that is none of the SIM's", "B50", {}, {"teid": 5}, None),
]


def answers(case: Case) -> tuple[str, Cause | None, list[int]]:
    """What version 2 and version 1 answer."""
    _, _, made, changes, before = case
    found = []
    for version in (2, 1):
        options = dict(made)
        with world(options.pop("subscribers", WITHOUT_IPV6), **options) as here:
            if before is not None:
                before(here, version)
            changed = dict(changes)
            if before is taken:
                changed = {"peer": OTHER, "control": create(version).control}
            request = create(version, **changed)
            found.append(here.ask(request).cause or 0)
    return case[0], named(2, found[0]), found


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in lines)


ENDING_WORDS = {
    "deleted": "the peer asked for it",
    "replaced": "the SIM attached again (N6)",
    "idle": "no packet for `idle_s` (N3)",
    "session-limit": "open for `session_s` (N3)",
    "cut": "the line was suspended, its card replaced, its contract ended (L1-L3)",
    "address-claimed": "another line has its address for good",
    "stopped": "the gateway stops",
    "error-indication": "the peer's user plane does not know the TEID (TS 23.007 22)",
    "tunnel-taken": "its peer gave the end of its tunnel to another session",
    "peer-restarted": "the peer has another restart counter",
    "peer-silent": "the peer answers no Echo Request",
    "engine-failed": "the coupon database failed while it was opened",
}
RECORD = {
    "imsi": "servedIMSI",
    "msisdn": "servedMSISDN",
    "line": "",
    "contract": "",
    "apn": "accessPointNameNI",
    "rat_type": "rATType",
    "version": "",
    "ipv4": "servedPDPPDNAddress",
    "ipv6": "servedPDPPDNAddress",
    "sgw": "servingNodeAddress",
    "network": "servingNodePLMNIdentifier",
    "charging_id": "chargingID",
    "opened_ns": "recordOpeningTime",
    "closed_ns": "",
    "duration_ns": "duration",
    "cause_for_closing": "causeForRecClosing",
    "reason": "diagnostics",
    "up": "listOfTrafficVolumes",
    "down": "listOfTrafficVolumes",
}
BOUNDS = (
    ("sessions", "`sessions_max`"),
    ("Create requests of a peer in a second, and at once", "`create_per_s_max`"),
    ("peers whose rate is remembered", f"{limits.PEERS_MAX:,}"),
    ("answers kept that changed something", f"{pgw.ANSWERS_MAX:,}, for {{kept}} s"),
    ("answers kept that refused", f"{pgw.REFUSALS_MAX:,}, for {{kept}} s"),
    ("answers to requests that cannot be read", f"{pgw.FAULTS_PER_S:,} a second"),
    ("Version Not Supported", f"{pgw.VERSIONS_PER_S} a second"),
    ("own requests that wait for answers", f"{pgw.REQUESTS_MAX:,}; beyond, each is sent once"),
    ("sessions and repetitions that one turn deals with", f"{pgw.TICK_WORK}"),
    ("usage records that wait to be written", f"{records.RECORDS_MAX:,}; beyond, counted"),
)


def settings_rows() -> list[list[str]]:
    access = Access()
    rows = []
    for one in fields(Access):
        value = getattr(access, one.name)
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else value
        rows.append([f"`{one.name}`", f"{shown}"])
    return rows


def made() -> dict[str, str]:
    """The tables by their names."""
    causes = [
        [words, cause, *numbers, case[1]]
        for case in CASES
        for words, cause, numbers in [answers(case)]
    ]
    endings = [
        [f"`{why}`", ENDING_WORDS[why], "yes" if end.asks_peer else "", end.closing]
        for why, end in ENDINGS.items()
    ]
    kept = exchange.KEPT_NS // 10**9
    return {
        "causes": table(["request", "answer", "GTPv2", "GTPv1", "rule"], causes),
        "endings": table(["reason", "when", "peer is asked", "causeForRecClosing"], endings),
        "bounds": table(
            ["what", "at most"], [[what, most.format(kept=kept)] for what, most in BOUNDS]
        ),
        "settings": table(["setting", "default"], settings_rows()),
        "records": table(
            ["field", "TS 32.298"],
            [
                [f"`{name}`", f"`{standard}`" if standard else ""]
                for name, standard in RECORD.items()
            ],
        ),
    }


def filled(text: str, tables: dict[str, str]) -> str:
    """The document with its tables made anew."""
    return BLOCK.sub(lambda match: f"<!-- {match[1]} -->\n{tables[match[1]]}<!-- end -->", text)


def test_the_tables_of_the_page_are_made_from_the_code(project: Path, regen: bool) -> None:
    """N1-N6, L1-L3, O1, B42, B48, B50: every refusal as it is answered in both versions"""
    path = project / "docs" / "gateway.md"
    text = path.read_text(encoding="utf-8")
    tables = made()
    if regen:
        path.write_text(filled(text, tables), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert text == filled(text, tables), "run: pytest … --regen"
    assert [match[1] for match in BLOCK.finditer(text)] == list(tables)
    wrong = text.replace("| 92 |", "| 93 |", 1)
    assert filled(wrong, tables) == text != wrong


def test_every_cause_of_the_table_is_the_same_in_both_versions() -> None:
    """the numbers differ, what is meant does not"""
    for case in CASES:
        words, _, numbers = answers(case)
        if words == UNNAMED:  # an element that only version 2 must have
            continue
        meant = [cause for cause in Cause if number(2, cause) == numbers[0]]
        assert numbers[1] in [number(1, cause) for cause in meant], words


def test_the_page_names_every_ending_and_every_field_of_a_record() -> None:
    """N3, N4"""
    assert list(ENDING_WORDS) == list(ENDINGS)
    with world() as here:
        here.ask(delete(here.attach()))
        (record,) = here.pgw.take_records()
    assert list(RECORD) == list(record)
