"""Checks of a live run, each on a run that is right and on one with a planted fault."""

from pathlib import Path

import pytest

from gateway_sim.live import checks, checks_speed
from gateway_sim.live.crowd import Outcome
from gateway_sim.live.driver import Pacing
from gateway_sim.live.figures import FAIL, INCONCLUSIVE, PASS
from gateway_sim.live.fleet import CLOSED, OPEN, SHUT, UNSURE
from gateway_sim.live.logs import DAMAGED, FLAWS, UNKNOWN
from gateway_sim.live.script import Script
from gateway_sim.live.verbs import Answered, Asked
from tests.support.simlive import MS, S, Story, script_of, traffic

T0 = 1_383_600_000 * S
ATTACH = 'at_ms = 0\ndo = "attach"'
STEPS = (
    ATTACH,
    'at_ms = 1\ndo = "attach"\nexpect = "refused"\ncauses = [92]',
    traffic(down_bps=80_000, expect="slow", packet_bytes=1000),
    traffic(down_bps=80_000, expect="high"),
    traffic(down_bps=80_000, server="own"),
    traffic(up_bps=80_000, expect="nothing"),
    'at_ms = 2\ndo = "suspend"',
    'at_ms = 3\ndo = "charge"\nexpect = "refused"',
)
SLOW, HIGH, EXEMPT, NOTHING = range(4)
"""streams of STEPS"""


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return script_of(tmp_path, *STEPS)[1]


@pytest.fixture
def story(script: Script) -> Story:
    return Story(script)


# --- arrivals, order, silence -----------------------------------------------------------------------


def test_packets_that_arrive_once_and_whole_pass(story: Story) -> None:
    for k in range(3):
        story.through(HIGH, 0, T0 + k * MS)
    found = checks.arrivals(story.figures())
    assert found.status == PASS
    assert found.figures["arrived_packets"] == 3
    assert found.figures["arrived_bytes"] == 600


@pytest.mark.parametrize("flaw", FLAWS)
def test_every_flaw_of_an_arrival_fails(story: Story, flaw: int) -> None:
    number = story.send(HIGH, 0, T0)
    story.arrive(-1 if flaw == UNKNOWN else number, T0 + MS, flaw)
    found = checks.arrivals(story.figures())
    assert found.status == FAIL
    assert FLAWS[flaw] in found.faults[0]


def test_a_packet_that_arrives_twice_fails(story: Story) -> None:
    number = story.send(HIGH, 0, T0)
    story.arrive(number, T0 + MS)
    story.arrive(number, T0 + 2 * MS)
    assert checks.arrivals(story.figures()).faults == ["packet 0 of hdo00000001 arrived 2 times"]


def test_packets_of_a_sim_that_change_places_fail(story: Story) -> None:
    """P3"""
    first, second = story.send(HIGH, 0, T0), story.send(HIGH, 0, T0 + MS)
    story.arrive(second, T0 + 2 * MS)
    story.arrive(first, T0 + 3 * MS)
    assert checks.order(story.figures()).status == FAIL


def test_other_sims_other_ways_and_exempt_packets_may_overtake(story: Story) -> None:
    """X1: exempt packets have a bucket of their own."""
    numbers = [
        story.send(stream, sim, T0)
        for stream, sim in ((SLOW, 0), (EXEMPT, 0), (NOTHING, 0), (SLOW, 1))
    ]
    for number in reversed(numbers):
        story.arrive(number, T0 + MS)
    assert checks.order(story.figures()).status == PASS


@pytest.mark.parametrize("state", [CLOSED, SHUT])
def test_an_arrival_that_was_sent_without_a_session_fails(story: Story, state: int) -> None:
    """L1, N7"""
    story.send(HIGH, 0, T0, state)
    assert checks.silence(story.figures()).status == PASS
    story.arrive(story.send(HIGH, 0, T0, state), T0 + MS)
    assert checks.silence(story.figures()).status == FAIL


def test_while_nobody_knows_whether_there_is_a_session_packets_may_arrive(story: Story) -> None:
    story.arrive(story.send(HIGH, 0, T0, UNSURE), T0 + MS)
    assert checks.silence(story.figures()).status == PASS


def test_an_arrival_of_a_stream_of_which_nothing_may_arrive_fails(story: Story) -> None:
    story.arrive(story.send(NOTHING, 0, T0, OPEN), T0 + MS)
    assert "of a stream of which nothing may" in checks.silence(story.figures()).faults[0]


# --- answers ----------------------------------------------------------------------------------------


def outcome(step: int, accepted: bool, cause: int | None = None) -> Outcome:
    return Outcome(step, "attach", 0, accepted, cause, T0, T0 + MS)


@pytest.mark.parametrize(
    ("of", "status"),
    [
        (outcome(0, True, 16), PASS),
        (outcome(0, False, 92), FAIL),
        (outcome(1, False, 92), PASS),
        (outcome(1, False, 93), FAIL),
        (outcome(1, True, 16), FAIL),
    ],
)
def test_answers_are_held_against_what_the_script_expects(
    story: Story, of: Outcome, status: str
) -> None:
    """N1"""
    assert checks.sessions(story.figures(outcomes=[of])).status == status


def test_requests_without_an_answer_and_faults_of_the_protocol_fail(story: Story) -> None:
    found = checks.sessions(story.figures(unanswered=2, faults=["odd", "odd"]))
    assert found.faults == ["2 requests had no answer", "2 times: odd"]


def test_messages_on_the_user_plane_are_explained_by_packets_without_a_session(
    story: Story,
) -> None:
    story.send(NOTHING, 0, T0, CLOSED)
    assert checks.sessions(story.figures(path_faults=1)).status == PASS
    assert checks.sessions(story.figures(path_faults=2)).status == FAIL


def answered(step: int, verb: str, refusal: str | None) -> Answered:
    return Answered(Asked(step, verb, {"line": "hdo00000001"}, (0,)), T0, T0 + MS, refusal)


def test_verbs_are_held_against_what_the_script_expects(story: Story) -> None:
    """C3, L1"""
    fine = [answered(6, "suspend", None), answered(7, "charge", "31st")]
    assert checks.operator(story.figures(answers=fine)).status == PASS
    wrong = [answered(6, "suspend", "no"), answered(7, "charge", None)]
    assert len(checks.operator(story.figures(answers=wrong)).faults) == 2


def test_a_session_that_was_cut_without_a_word_fails(story: Story) -> None:
    """L1"""
    figures = story.figures(answers=[answered(6, "suspend", None)], left_shut=frozenset({0}))
    assert checks.operator(figures).status == FAIL


# --- losses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [{"lost": 1}, {"lost_by_gateway": 3}, {"lost_by_gateway": None}, {"stepped_ns": S}]
)
def test_losses_on_the_way_are_told_and_decide_nothing(story: Story, more: dict[str, int]) -> None:
    assert checks.losses(story.figures(**more)).status == INCONCLUSIVE
    assert checks.losses(story.figures(pacing=Pacing(held_back=3))).status == PASS


# --- speed ------------------------------------------------------------------------------------------


def shaped_story(story: Story, gap_ns: int, count: int = 60) -> Story:
    """15 packets of 1 000 bytes at once, then one each `gap_ns`: 40 ms is 200 kbit/s."""
    for k in range(count):
        story.through(
            SLOW, 0, T0 + k * MS, max(0, k - 14) * gap_ns - (k - 14) * MS if k > 14 else MS
        )
    return story


def test_packets_at_the_rate_pass(story: Story) -> None:
    """P5"""
    found = checks_speed.shaped(shaped_story(story, 40 * MS + MS).figures())
    assert found.status == PASS
    assert found.figures["packets"] == 60


@pytest.mark.parametrize("gap_ns", [20 * MS, 36 * MS])
def test_packets_faster_than_the_rate_fail(story: Story, gap_ns: int) -> None:
    """P2, P5"""
    assert checks_speed.shaped(shaped_story(story, gap_ns).figures()).status == FAIL


def test_a_burst_larger_than_the_rule_fails(story: Story) -> None:
    """P5"""
    for k in range(16):
        story.through(SLOW, 0, T0 + k)
    assert checks_speed.shaped(story.figures()).status == FAIL


def test_the_switch_decides_from_its_answer_on(story: Story) -> None:
    """P3: what was sent before the switch was answered is not looked at."""
    for k in range(30):
        story.through(SLOW, 0, T0 + k)
    before = answered(6, "switch", None)
    later = Answered(before.asked, T0 + S, T0 + S, None)
    assert checks_speed.shaped(story.figures(answers=[later])).status == PASS
    earlier = Answered(before.asked, T0 - S, T0 - S, None)
    assert checks_speed.shaped(story.figures(answers=[earlier])).status == FAIL


def test_a_date_that_was_set_decides_nothing(story: Story) -> None:
    figures = shaped_story(story, 20 * MS).figures(stepped_ns=S)
    assert checks_speed.shaped(figures).status == INCONCLUSIVE


def dropping_story(story: Story, kept: int) -> Story:
    for k in range(40):
        number = story.send(SLOW, 0, T0 + k * MS)
        if k < kept:
            story.arrive(number, T0 + k * 40 * MS + 2 * MS)
    return story


def test_a_queue_that_drops_what_it_could_hold_fails(story: Story) -> None:
    """P4"""
    assert checks_speed.carried(dropping_story(story, 40).figures()).status == PASS
    assert checks_speed.carried(dropping_story(Story(story.script), 37).figures()).status == FAIL


def test_what_is_missing_after_a_loss_decides_nothing(story: Story) -> None:
    assert checks_speed.carried(dropping_story(story, 37).figures(lost=1)).status == INCONCLUSIVE


def test_a_packet_that_does_not_arrive_at_high_speed_fails(story: Story) -> None:
    """P1"""
    story.through(HIGH, 0, T0)
    assert checks_speed.high(story.figures()).status == PASS
    story.send(HIGH, 0, T0 + MS)
    assert checks_speed.high(story.figures()).status == FAIL
    assert checks_speed.high(story.figures(lost_by_gateway=1)).status == INCONCLUSIVE


def test_an_exempt_packet_that_waited_fails(story: Story) -> None:
    """X1"""
    story.through(EXEMPT, 0, T0)
    assert checks_speed.exempt(story.figures()).status == PASS
    story.through(EXEMPT, 0, T0 + MS, 2 * S)
    assert checks_speed.exempt(story.figures()).status == FAIL


def test_packets_shortly_before_the_end_of_a_session_are_left_out(story: Story) -> None:
    story.send(HIGH, 0, T0)
    figures = story.figures(closings=[(0, T0 + 100 * MS), (1, T0 + 5 * S)])
    assert checks_speed.high(figures).figures["packets"] == 0
    assert checks_speed.high(figures).status == PASS


def test_a_damaged_arrival_is_no_loss(story: Story) -> None:
    story.arrive(story.send(HIGH, 0, T0), T0 + MS, DAMAGED)
    assert checks_speed.high(story.figures()).status == PASS
    assert checks.arrivals(story.figures()).status == FAIL


def test_only_the_first_faults_are_written_out(story: Story) -> None:
    for k in range(20):
        story.arrive(story.send(HIGH, 0, T0 + k, CLOSED), T0 + MS)
    found = checks.silence(story.figures())
    assert (len(found.faults), found.more_faults) == (8, 12)
