"""Sessions that the book does not allow, messages that are of no use, and what else is told of them."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.replay import Options, Report, learnt, run, setup
from engine.replay.formats import MACHINE
from engine.signalling import exchanges, follower
from engine.wire.capture import Capture
from tests.property.test_replay_invariance import SCHEMA
from tests.support import packets
from tests.support.command import call, write
from tests.support.epc import IMSI, IMSI2, PGW, SGW, Story, delete, s5_create, s5_dedicate
from tests.support.learnt import BOOK, S5, UP, WEB, bill, both_legs, dropped, sims, traffic
from tests.support.outputs import read_pcap, read_pcapng

MS = 10**6


def told(report: Report, words: str) -> bool:
    return any(words in notice for notice in report.notices)


def test_a_suspended_lines_packets_are_dropped_as_that(tmp_path: Path) -> None:
    """L1, N7: and billed again when it is resumed, in the tunnels that the capture gave it"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    resumed_ns = story.at_ns + MS // 2
    traffic(story, up=2, down=0)
    events = tmp_path / "events.jsonl"
    resume = {"at_ns": resumed_ns, "do": "resume", "line": "hdo00000001"}
    events.write_text(json.dumps(resume) + "\n")
    book = BOOK + "  in_service = false\n"
    report = bill(tmp_path, story, book=book, events=str(events))
    assert (sims(report), dropped(report)) == ({IMSI: (2, 0)}, {"suspended": 2})
    assert told(report, "1 sessions are of suspended SIMs")


def test_a_suspension_in_the_middle_cuts_what_was_learnt(tmp_path: Path) -> None:
    """L1"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    events = tmp_path / "events.jsonl"
    suspend = {"at_ns": story.at_ns + 1, "do": "suspend", "line": "hdo00000001"}
    events.write_text(json.dumps(suspend) + "\n")
    traffic(story)
    story.ask(*S5, *delete(103, 101))
    report = bill(tmp_path, story, book=BOOK, events=str(events))
    assert (sims(report), dropped(report)) == ({IMSI: (1, 1)}, {"suspended": 2})


def test_a_line_that_has_ended_has_no_session(tmp_path: Path) -> None:
    """A4: its packets are nobody's, though its address is in the book"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    book = BOOK + '  ends = "2013-10"\n  addresses = ["10.1.0.1"]\n'
    report = bill(tmp_path, story, book=book)
    assert (sims(report), dropped(report)) == ({IMSI: (0, 0)}, {"teid": 2})
    assert told(report, "1 sessions are of lines that have ended")


def with_prefix(story: Story) -> None:
    request, answer = s5_create()
    story.ask(*S5, replace(request, pdn_type=3), replace(answer, address6="2001:db8:0:1::/64"))
    traffic(story)
    story.g_pdu(104, *S5, ("2001:db8:0:1::77", "2001:db8:ffff::7"))


def test_without_the_option_a_session_is_ipv4_only(tmp_path: Path) -> None:
    """O1: whatever the network gave it"""
    story = Story()
    with_prefix(story)
    report = bill(tmp_path, story, book=BOOK)
    assert (sims(report), dropped(report)) == ({IMSI: (1, 1)}, {"spoof": 1})
    assert told(report, "1 sessions have an IPv6 prefix without the option")
    booked = BOOK.replace("plan =", "ipv6 = true\nplan =")
    report = bill(tmp_path, story, book=booked)
    assert (sims(report), dropped(report)) == ({IMSI: (2, 1)}, {})


def test_a_session_of_no_sim_is_billed_by_address(tmp_path: Path) -> None:
    """TS 29.274 7.2.1: an emergency call"""
    story = Story()
    request, answer = s5_create()
    story.ask(*S5, replace(request, imsi=None), answer)
    traffic(story)
    report = bill(tmp_path, story, ue_nets=("10.0.0.0/8",))
    assert sims(report) == {"10.1.0.1": (1, 1)}
    assert told(report, "1 sessions name no IMSI")


def test_a_strangers_packets_may_be_a_lines_by_address(tmp_path: Path) -> None:
    """N6: a book that knows addresses, not IMSIs, bills as it did before"""
    story = Story()
    story.ask(*S5, *s5_create(imsi=IMSI2))
    traffic(story)
    story.ask(*S5, *delete(103, 101))
    report = bill(tmp_path, story, book=BOOK + '  addresses = ["10.1.0.1"]\n')
    assert sims(report) == {IMSI: (1, 1)}


def test_messages_that_are_of_no_use_are_told(tmp_path: Path) -> None:
    """B47, B50: of another version, cut short, fragmented; answers without requests"""
    story = Story()
    frames = [
        packets.ethernet(packets.ipv4(packets.udp(data, 2123, 2123), SGW, PGW))
        for data in (b"", b"\x08\x20", b"\x48\x20\x00\xff" + bytes(8))
    ]
    long = packets.udp(bytes(12), 2123, 2123, length=900)
    frames.append(packets.ethernet(packets.ipv4(long, SGW, PGW, fragment=0x2000)))
    story.frames += [(story.at_ns, frame) for frame in frames]
    story.say(PGW, SGW, replace(s5_create()[1], sequence=3))
    story.g_pdu(1, *S5, UP)
    report = bill(tmp_path, story)
    words = "control messages {}; they were not followed"
    assert {
        "3 " + words.format("cannot be read"),
        "1 " + words.format("are cut short or fragmented in the capture"),
        "1 " + words.format("answer requests that are not in the capture"),
    } <= set(report.notices)
    assert report.document["sessions"] == []


def test_what_there_was_no_room_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B48, G7: sessions are billed even where they are not listed"""
    story = Story()
    requests = [s5_create(k, imsi=f"44010{k:010}") for k in range(1, 5)]
    for pair in requests:
        story.ask(*S5, *pair)
    for k in range(2):
        story.say(*S5, replace(requests[0][0], sequence=k))
    traffic(story, 2)
    monkeypatch.setattr(learnt, "LISTED_MAX", 1)
    monkeypatch.setattr("engine.replay.followed.LISTED_MAX", 1)
    monkeypatch.setattr(follower, "SESSIONS_MAX", 3)
    monkeypatch.setattr(exchanges, "REQUESTS_MAX", 1)
    report = bill(tmp_path, story)
    assert sims(report)["440100000000002"] == (1, 1)
    assert len(report.document["sessions"]) == 1
    assert [warning.split(" ")[0] for warning in report.warnings] == ["2", "1", "1"]
    assert told(report, "3 sessions were followed")


@pytest.mark.parametrize(
    ("rows_max", "block_bytes", "workers"), [(1, 200, 1), (2, 1_000, 3), (5, 1 << 18, 1)]
)
@pytest.mark.parametrize("keep", [False, True])
def test_however_it_is_read_the_bill_is_the_same(
    rows_max: int,
    block_bytes: int,
    workers: int,
    keep: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G8: messages take effect at their place, wherever batches end"""
    story = both_legs()
    story.ask(PGW, SGW, *s5_dedicate())
    story.g_pdu(134, *S5, UP)
    story.ask(*S5, *s5_create(2, imsi=IMSI2))
    traffic(story, 2)
    story.ask(*S5, *delete(103, 101))
    traffic(story, 1)
    whole = bill(tmp_path, story).document
    small = partial(Capture, rows_max=rows_max, block_bytes=block_bytes)
    monkeypatch.setattr(setup, "Capture", small)
    options: dict[str, Any] = {"dropped": str(tmp_path / "d.pcapng")} if keep else {}
    cut = bill(tmp_path, story, workers=workers, **options).document
    for document in (whole, cut):
        jsonschema.validate(document, SCHEMA)
        del document["timing"]
    assert cut == whole


def test_files_of_packets_leave_out_what_is_nobodys(tmp_path: Path) -> None:
    """I6: control messages and the other legs of a packet's way are in neither file"""
    story = both_legs()
    story.ask(*S5, *delete(103, 101))
    traffic(story)
    shaped, lost = tmp_path / "left.pcap", tmp_path / "lost.pcapng"
    report = bill(tmp_path, story, shaped=str(shaped), dropped=str(lost))
    assert sims(report) == {IMSI: (3, 3)}
    sent = dict(story.frames)
    billed = [written.data for written in read_pcap(shaped)[1]]
    assert len(billed) == 6
    teids = Counter(int.from_bytes(data[46:50], "big") for data in billed)
    assert teids == {104: 3, 102: 3}
    assert [sent[w.time_ns] for w in read_pcapng(lost)] == [sent[at] for at in sorted(sent)[-2:]]


Explain = Callable[..., dict[str, Any]]


@pytest.fixture
def explain(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Explain:
    """What is said of a frame of a story, from 1."""

    def said(story: Story, number: int, *options: str) -> dict[str, Any]:
        path = write(tmp_path / "capture.pcap", story.frames)
        words = ("explain", path, "--packet", str(number), "--format", "json", *options)
        ended = call(capfd, *words)
        assert ended.status == 0, ended.err
        document: dict[str, Any] = json.loads(ended.out)
        return document

    return said


def test_explain_names_the_session_of_a_packet(explain: Explain) -> None:
    """N6: as it stood at that packet"""
    story = both_legs()
    said = explain(story, len(story.said) + 2)
    assert said["legs"][0]["imsi"] == IMSI
    assert said["packet"]["session"] == {
        "imsi": IMSI,
        "apn": "iijmio.jp",
        "rat_type": "EUTRAN",
        "addresses": ["10.1.0.1"],
        "interface": "S5/S8 P-GW",
        "billed": True,
    }
    (step,) = [step for step in said["legs"][0]["steps"] if step["rule"] == "N6"]
    assert "whose session has TEID 0x00000068" in step["text"]


def test_explain_says_where_another_leg_is_billed(explain: Explain) -> None:
    """N6"""
    story = both_legs()
    said = explain(story, len(story.said) + 1)
    assert (said["verdict"], said["packet"]["session"]["billed"]) == ("no-user-traffic", False)
    (step,) = said["steps"]
    assert step["text"] == (
        f"its tunnel is the S1-U S-GW's of a session of {IMSI} that is billed elsewhere on its way"
    )
    ignored = explain(story, len(story.said) + 1, "--sessions", "ignore")
    assert (ignored["verdict"], ignored["packet"]["session"]) == ("charged", None)


def test_explain_knows_a_control_message(explain: Explain) -> None:
    """TS 29.274 6.1"""
    story = both_legs()
    said = explain(story, 1)
    assert (said["verdict"], said["packet"]) == ("no-user-traffic", None)
    assert "GTPv2-C message 32: not a G-PDU" in said["steps"][0]["text"]


def test_machine_formats_have_the_sessions(tmp_path: Path) -> None:
    """a record each in jsonl; code and RAT type of every SIM in csv"""
    document = bill(tmp_path, both_legs()).document
    lines = [json.loads(text) for text in MACHINE["jsonl"](document)]
    (session,) = [line for line in lines if line["record"] == "session"]
    assert {"record": "session", **document["sessions"][0]} == session
    (row,) = csv.DictReader(io.StringIO("".join(MACHINE["csv"](document))))
    assert (row["code"], row["rat_type"]) == (IMSI, "EUTRAN")


def test_a_database_that_lasts_has_what_sessions_took(tmp_path: Path) -> None:
    """D1, D9: a slice at each attach; a second replay goes on with what is on the SIM"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    story.ask(*S5, *delete(103, 101))
    pool = f"sqlite:///{tmp_path}/coupons.db"
    first = bill(tmp_path, story, pool=pool).document["sims"][0]
    again = bill(tmp_path, story, pool=pool).document["sims"][0]
    assert (first["grants"], again["grants"]) == (1, 0)
    assert again["balance_bytes"] == first["balance_bytes"] - 200


def test_a_message_with_anything_in_it_breaks_nothing(tmp_path: Path) -> None:
    """G7, B50: every octet of an attach changed, one at a time"""
    request, answer = (replace(m, sequence=5) for m in s5_create())
    story = Story()
    story.say(*S5, request)
    story.say(PGW, SGW, answer)
    (first_ns, first), (second_ns, second) = story.frames
    for at in range(42, len(first)):
        changed = bytearray(first)
        changed[at] ^= 0x55
        story.frames += [(first_ns, bytes(changed)), (second_ns, second)]
    story.at_ns += MS
    story.g_pdu(104, *S5, ("10.1.0.1", WEB))
    path = write(tmp_path / "capture.pcap", story.frames)
    report = run(Options(captures=(path,)))
    assert report.faults == []
    assert report.document["capture"]["packets"] == len(story.frames)
