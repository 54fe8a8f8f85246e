"""Replays that learn who is who from the control messages in their captures."""

from dataclasses import replace
from pathlib import Path

from engine.replay import Options, run
from tests.support.command import write
from tests.support.epc import (
    ENODEB,
    GGSN,
    IMSI,
    IMSI2,
    MME,
    PGW,
    SGSN,
    SGW,
    SGW2,
    Story,
    delete,
    gn_create,
    s5_create,
    s5_dedicate,
    s5_move,
    s5_take_back,
    s11_create,
    s11_modify,
)
from tests.support.learnt import BOOK, DOWN, S5, UP, WEB, bill, both_legs, dropped, sims, traffic


def test_a_sim_is_billed_from_its_sessions_opening_to_its_end(tmp_path: Path) -> None:
    """N6, N4: and not a packet before or behind"""
    story = Story()
    traffic(story, up=2, down=3)
    story.ask(*S5, *s5_create())
    traffic(story, up=4, down=5)
    story.ask(*S5, *delete(103, 101))
    traffic(story, up=1, down=1)
    report = bill(tmp_path, story)
    assert sims(report) == {IMSI: (4, 5)}
    assert dropped(report) == {"teid": 7}
    (sim,) = report.document["sims"]
    assert (sim["msisdn"], sim["rat_type"], sim["address"]) == (
        "810000000001",
        "EUTRAN",
        "10.1.0.1",
    )
    (session,) = report.document["sessions"]
    assert session == {
        "imsi": IMSI,
        "msisdn": "810000000001",
        "line": IMSI,
        "apn": "iijmio.jp",
        "rat_type": "EUTRAN",
        "addresses": ["10.1.0.1"],
        "version": 2,
        "opened_ns": story.said[1][0],
        "closed_ns": story.said[3][0],
        "close_cause": "deleted",
        "tunnels": [
            {"teid": 102, "receiver": SGW, "direction": "down", "interface": "S5/S8 S-GW"},
            {"teid": 104, "receiver": PGW, "direction": "up", "interface": "S5/S8 P-GW"},
        ],
    }
    assert report.document["totals"]["not_user_traffic_packets"] == 4
    assert "1 session was followed in 4 control messages" in report.notices


def test_a_packet_of_another_address_is_spoofed(tmp_path: Path) -> None:
    """N7, B17: the session's address is the answer's"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.g_pdu(104, *S5, ("10.1.0.9", WEB))
    traffic(story)
    report = bill(tmp_path, story)
    assert (sims(report), dropped(report)) == ({IMSI: (1, 1)}, {"spoof": 1})


def test_a_terminal_that_moves_is_billed_on(tmp_path: Path) -> None:
    """TS 23.401 5.5.1: another S-GW; what goes to the old one is nobody's"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    story.ask(SGW2, PGW, *s5_move())
    story.g_pdu(104, SGW2, PGW, UP)
    story.g_pdu(122, PGW, SGW2, DOWN)
    story.g_pdu(102, PGW, SGW, DOWN)
    report = bill(tmp_path, story)
    assert (sims(report), dropped(report)) == ({IMSI: (2, 2)}, {"teid": 1})
    assert report.document["contracts"][0]["granted_bytes"] == 10 << 20


def test_a_dedicated_bearer_is_the_same_sims(tmp_path: Path) -> None:
    """TS 23.401 5.4.1: until it is taken back"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(PGW, SGW, *s5_dedicate())
    for _ in range(2):
        story.g_pdu(134, *S5, UP)
        story.g_pdu(132, PGW, SGW, DOWN)
        story.ask(PGW, SGW, *s5_take_back(bearer_id=6))
    traffic(story)
    report = bill(tmp_path, story)
    assert (sims(report), dropped(report)) == ({IMSI: (2, 2)}, {"teid": 2})


def test_an_attach_without_a_detach_replaces_the_session(tmp_path: Path) -> None:
    """N6: one SIM with a new address; its old tunnels are nobody's, and make no SIM of the old address"""
    story = Story()
    story.ask(*S5, *s5_create(1))
    traffic(story, 1)
    story.ask(*S5, *s5_create(2))
    traffic(story, 1)
    traffic(story, 2)
    report = bill(tmp_path, story, ue_nets=("10.0.0.0/8",))
    assert (sims(report), dropped(report)) == ({IMSI: (2, 2)}, {"teid": 2})
    causes = [session["close_cause"] for session in report.document["sessions"]]
    assert causes == ["replaced", None]


def test_a_teid_that_is_given_out_anew_is_the_new_ones(tmp_path: Path) -> None:
    """B50: while the first session was never seen to end"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    request, answer = s5_create(imsi=IMSI2)
    story.ask(*S5, request, replace(answer, address4="10.1.0.2"))
    story.g_pdu(104, *S5, ("10.1.0.2", WEB))
    story.g_pdu(102, PGW, SGW, (WEB, "10.1.0.2"))
    story.ask(*S5, *delete(103, 101))
    story.g_pdu(104, *S5, ("10.1.0.2", WEB))
    report = bill(tmp_path, story)
    assert sims(report) == {IMSI: (1, 1), IMSI2: (1, 1)}
    assert dropped(report) == {"teid": 1}


def test_at_gn_it_is_the_same(tmp_path: Path) -> None:
    """N4: 3G is billed as LTE is, and its RAT type is told"""
    story = Story()
    story.ask(SGSN, GGSN, *gn_create())
    story.g_pdu(104, SGSN, GGSN, UP)
    story.g_pdu(102, GGSN, SGSN, DOWN)
    report = bill(tmp_path, story)
    assert sims(report) == {IMSI: (1, 1)}
    assert report.document["sims"][0]["rat_type"] == "UTRAN"
    assert report.document["sessions"][0]["version"] == 1


def test_what_passes_two_interfaces_is_billed_at_the_p_gw(tmp_path: Path) -> None:
    """N6: once; the other tunnels are listed, and their packets nobody's"""
    report = bill(tmp_path, both_legs())
    assert (sims(report), dropped(report)) == ({IMSI: (3, 3)}, {})
    tunnels = {(t["teid"], t["packets"]) for t in report.document["tunnels"]}
    assert tunnels == {(113, 3), (104, 3), (102, 3), (114, 3)}
    totals = report.document["totals"]
    assert (totals["packets"], totals["not_user_traffic_packets"]) == (6, 6 + 6)
    assert any(notice.startswith("6 packets are in tunnels of") for notice in report.notices)


def test_where_s1u_is_all_there_is_it_is_billed_there(tmp_path: Path) -> None:
    """N6"""
    story = Story()
    story.ask(MME, SGW, *s11_create())
    story.ask(MME, SGW, *s11_modify())
    story.g_pdu(113, ENODEB, SGW, UP)
    story.g_pdu(114, SGW, ENODEB, DOWN)
    assert sims(bill(tmp_path, story)) == {IMSI: (1, 1)}


def test_a_sim_with_two_apns_is_billed_together(tmp_path: Path) -> None:
    """TS 23.401 5.10: with an address for each, as long as any is open"""
    story = Story()
    story.ask(*S5, *s5_create(1))
    story.ask(*S5, *s5_create(2, apn="ims", bearer_id=6))
    traffic(story, 1)
    traffic(story, 2)
    story.ask(*S5, *delete(203, 201, bearer_id=6))
    traffic(story, 1)
    traffic(story, 2)
    story.ask(*S5, *delete(103, 101))
    traffic(story, 1)
    report = bill(tmp_path, story)
    assert (sims(report), dropped(report)) == ({IMSI: (3, 3)}, {"teid": 4})
    assert [s["line"] for s in report.document["sessions"]] == [IMSI, IMSI]


def test_a_session_with_a_prefix(tmp_path: Path) -> None:
    """N2: all of the /64 is the terminal's"""
    story = Story()
    request, answer = s5_create()
    both = replace(answer, address6="2001:db8:0:1::/64")
    story.ask(*S5, replace(request, pdn_type=3), both)
    traffic(story)
    story.g_pdu(104, *S5, ("2001:db8:0:1::77", "2001:db8:ffff::7"))
    story.g_pdu(104, *S5, ("2001:db8:0:2::77", "2001:db8:ffff::7"))
    report = bill(tmp_path, story)
    assert (sims(report), dropped(report)) == ({IMSI: (2, 1)}, {"spoof": 1})
    assert report.document["sessions"][0]["addresses"] == ["10.1.0.1", "2001:db8:0:1::/64"]


def test_control_messages_may_be_in_a_capture_of_their_own(tmp_path: Path) -> None:
    """G8: the two are one in time"""
    story = both_legs()
    whole = bill(tmp_path, story).document
    times = {at_ns for at_ns, *_ in story.said}
    said = [frame for frame in story.frames if frame[0] in times]
    sent = [frame for frame in story.frames if frame[0] not in times]
    paths = [write(tmp_path / name, frames) for name, frames in (("b", said), ("a", sent))]
    parts = run(Options(captures=tuple(paths), ue_nets=("198.51.100.0/24",))).document
    for name in ("totals", "sims", "sessions", "tunnels", "drops"):
        assert parts[name] == whole[name]


def test_a_restart_ends_the_sessions(tmp_path: Path) -> None:
    """TS 23.007 18"""
    story = Story()
    request, answer = s5_create()
    story.ask(*S5, replace(request, recovery=1), answer)
    traffic(story)
    request, answer = s5_create(2, imsi=IMSI2)
    story.ask(*S5, replace(request, recovery=2), answer)
    traffic(story)
    report = bill(tmp_path, story)
    assert (sims(report), dropped(report)) == ({IMSI: (1, 1), IMSI2: (0, 0)}, {"teid": 2})


def test_as_often_as_messages_come_the_bill_is_the_same(tmp_path: Path) -> None:
    """TS 29.274 7.6: a capture on two interfaces of one machine has everything twice"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    story.ask(SGW2, PGW, *s5_move())
    story.ask(SGW2, PGW, *delete(103, 121))
    once = bill(tmp_path, story).document
    times = {at_ns for at_ns, *_ in story.said}
    story.frames = [
        frame for one in story.frames for frame in ((one, one) if one[0] in times else (one,))
    ]
    twice = bill(tmp_path, story).document
    for name in ("sims", "sessions", "drops"):
        assert twice[name] == once[name]


def test_without_answers_what_goes_down_is_billed_after_a_while(tmp_path: Path) -> None:
    """a capture of one direction: who asked is believed when no answer can come any more"""
    story = Story()
    request, _ = s5_create()
    story.say(*S5, replace(request, sequence=7))
    traffic(story, up=0)
    story.at_ns += 15 * 10**9
    story.say(*S5, replace(s5_create(2, imsi=IMSI2)[0], sequence=8))
    traffic(story, up=0, down=3)
    report = bill(tmp_path, story)
    assert (sims(report), dropped(report)) == ({IMSI: (0, 3)}, {"teid": 1})
    assert [s["line"] for s in report.document["sessions"]] == [IMSI, None]
    (notice,) = [n for n in report.notices if "were followed" in n]
    assert "2 of them from requests alone" in notice


def test_requests_at_the_end_of_a_capture_are_listed(tmp_path: Path) -> None:
    """what they open has no packets any more, and takes no slice"""
    story = Story()
    for number in (1, 2):
        request, _ = s5_create(number)
        story.say(*S5, replace(request, sequence=number))
    story.g_pdu(1, *S5, UP)
    report = bill(tmp_path, story)
    assert report.document["sims"] == []
    causes = [session["close_cause"] for session in report.document["sessions"]]
    assert causes == ["replaced", None]


def test_sessions_from_before_the_capture_are_billed_by_address(tmp_path: Path) -> None:
    """what names no SIM is told; their addresses are assumed to be SIMs, as without control messages"""
    story = Story()
    story.ask(SGW2, PGW, *s5_move(1))
    traffic(story, 1)
    story.ask(*S5, *s5_create(2, imsi=IMSI2))
    traffic(story, 2)
    traffic(story, 3)
    path = write(tmp_path / "capture.pcap", story.frames)
    report = run(Options(captures=(path,)))
    assert sims(report) == {"10.1.0.1": (1, 1), IMSI2: (1, 1), "10.1.0.3": (1, 1)}
    assert any(
        notice.startswith("1 control messages are about sessions from before the capture")
        for notice in report.notices
    )


def test_what_is_assumed_makes_no_sim_of_a_sessions_other_ends(tmp_path: Path) -> None:
    """N6: a tunnel that nobody spoke of, with a session's packets and a server in a private network"""
    story = Story()
    story.ask(*S5, *s5_create())
    for inner in ((UP[0], "192.168.7.7"), ("192.168.7.7", UP[0])):
        story.g_pdu(9_999, ENODEB, SGW, inner)
    traffic(story)
    path = write(tmp_path / "capture.pcap", story.frames)
    report = run(Options(captures=(path,)))
    assert (sims(report), dropped(report)) == ({IMSI: (1, 1)}, {"teid": 2})
    said = bill(tmp_path, story, ue_nets=("192.168.0.0/16",))
    assert sims(said) == {IMSI: (1, 1), "192.168.7.7": (1, 1)}


def test_no_notice_is_taken_where_that_is_asked(tmp_path: Path) -> None:
    """as before: by address"""
    story = Story()
    story.ask(*S5, *s5_create())
    traffic(story)
    report = bill(tmp_path, story, sessions="ignore", ue_nets=("10.0.0.0/8",))
    assert sims(report) == {"10.1.0.1": (1, 1)}
    assert report.document["sessions"] == []
    assert not any("control" in notice for notice in report.notices)


def test_a_known_sim_is_the_line_of_its_book(tmp_path: Path) -> None:
    """N6: found by its IMSI, whatever its address is; a stranger's packets are nobody's"""
    story = Story()
    story.ask(*S5, *s5_create(1))
    story.ask(*S5, *s5_create(2, imsi=IMSI2))
    traffic(story, 1)
    traffic(story, 2)
    report = bill(tmp_path, story, book=BOOK)
    assert (sims(report), dropped(report)) == ({IMSI: (1, 1)}, {"teid": 2})
    assert [s["line"] for s in report.document["sessions"]] == ["hdo00000001", None]
    assert any(
        notice.startswith("1 sessions are of SIMs that nobody has entered")
        for notice in report.notices
    )
