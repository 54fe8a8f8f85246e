"""When the live simulator does what: its clock, packets that are due, kernel queues, verbs in order."""

import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import PktollError
from gateway_sim.live import kernel, verbs
from gateway_sim.live.flows import FAR_NS, Flow
from gateway_sim.live.pace import LATE_NS, Pace
from gateway_sim.live.run import free_address
from gateway_sim.live.verbs import Asked, Verbs
from tests.support.simlive import MS, script_of, traffic

# --- the script's clock -----------------------------------------------------------------------------


def test_a_step_waits_for_those_that_began_before_it() -> None:
    pace = Pace([0, 100, 200], 1_000)
    assert pace.at(1_050, waiting=True) == 50
    assert pace.at(1_150, waiting=True) == 99
    assert pace.at(1_400, waiting=True) == 99
    assert pace.at(1_401, waiting=False) == 100
    assert pace.slipped_ns == 301


def test_after_the_last_step_the_clock_goes_on() -> None:
    pace = Pace([0], 0)
    assert pace.at(5_000, waiting=True) == 5_000


def test_packets_that_are_late_move_the_script() -> None:
    pace = Pace([0], 0)
    pace.late(LATE_NS)
    assert pace.slipped_ns == 0
    pace.late(LATE_NS + 7)
    assert pace.at(LATE_NS, waiting=False) == LATE_NS - 7


def test_the_clock_never_goes_back() -> None:
    pace = Pace([0], 0)
    assert pace.at(5_000, waiting=False) == 5_000
    pace.slip(3_000)
    assert pace.at(5_001, waiting=False) == 5_000


# --- packets that are due ---------------------------------------------------------------------------


def test_each_sim_has_a_packet_each_interval_from_its_own_beginning(tmp_path: Path) -> None:
    _, script = script_of(tmp_path, traffic(up_bps=160_000, sims="1-2", spread_ms=10, for_ms=25))
    flow = Flow(0, script.streams[0], np.array([4, 6], np.int64))
    found = []
    for now_ns in range(0, 50 * MS, MS):
        sims, late_ns = flow.take(now_ns, 99)
        assert late_ns == 0
        found += [(now_ns // MS, int(sim)) for sim in sims]
    assert found == [(0, 4), (5, 6), (10, 4), (15, 6), (20, 4), (25, 6)]
    assert flow.first_ns == FAR_NS


def test_those_longest_due_go_first_and_the_rest_stays_due(tmp_path: Path) -> None:
    _, script = script_of(tmp_path, traffic(up_bps=16_000, sims="1-3", spread_ms=30, for_ms=50))
    flow = Flow(0, script.streams[0], np.array([0, 1, 2], np.int64))
    sims, late_ns = flow.take(40 * MS, 2)
    assert (sims.tolist(), late_ns) == ([0, 1], 40 * MS)
    sims, late_ns = flow.take(40 * MS, 2)
    assert (sims.tolist(), late_ns) == ([2], 20 * MS)


# --- the kernel's queues ----------------------------------------------------------------------------


def test_a_queue_and_its_losses_are_seen_from_outside() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        name = udp.getsockname()
        assert kernel.queues()[name] == (0, 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(50):
                sender.sendto(bytes(1000), name)
        queue = kernel.queues()[name]
        assert queue.waiting_bytes > 0
        assert queue.lost > 0


def test_the_kernels_table_is_read_by_address_and_port(tmp_path: Path) -> None:
    table = tmp_path / "udp"
    table.write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
        "inode ref pointer drops\n"
        "  7: 0100007F:0868 00000000:0000 07 00000000:00000340 00:00000000 00000000 0 0 1 2 0 12\n"
    )
    assert kernel.queues(table) == {("127.0.0.1", 2152): (0x340, 12)}
    assert kernel.queues(tmp_path / "none") == {}


def test_an_address_for_the_s_gw_has_both_ports_free() -> None:
    first = free_address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((first, 2152))
        second = free_address()
    assert first != second
    assert {first.split(".")[0], second.split(".")[0]} == {"127"}


# --- verbs ------------------------------------------------------------------------------------------


def asked(verb: str, step: int = 0) -> Asked:
    return Asked(step, verb, {}, (0,))


def test_verbs_are_carried_out_in_order_and_never_wait_for() -> None:
    done, go = [], threading.Event()

    def service(verb: str, args: dict[str, Any]) -> None:
        go.wait(10)
        done.append(verb)
        if verb == "bad":
            raise PktollError("no")

    with Verbs(service) as made:
        for verb in ("one", "bad", "two"):
            made.ask(asked(verb))
        assert (made.pending, made.answered()) == (3, [])
        go.set()
        answers = []
        while made.pending:
            answers += made.answered()
    assert done == ["one", "bad", "two"]
    assert [answer.refusal for answer in answers] == [None, "no", None]
    assert all(answer.begin_ns <= answer.end_ns for answer in answers)


def test_after_an_error_what_was_asked_is_given_up() -> None:
    done, go, busy = [], threading.Event(), threading.Event()

    def service(verb: str, args: dict[str, Any]) -> None:
        busy.set()
        go.wait(10)
        done.append(verb)

    def fail(made: Verbs) -> None:
        made.ask(asked("one"))
        made.ask(asked("two"))
        busy.wait(10)
        threading.Timer(0.05, go.set).start()
        raise PktollError("broken off")

    with pytest.raises(PktollError, match="broken off"), Verbs(service) as made:
        fail(made)
    assert done == ["one"]


def test_settling_waits_until_no_slice_is_handed_out_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verbs, "QUIET_NS", 20 * MS)
    monkeypatch.setattr(verbs, "LOOK_S", 0.001)
    grants = iter([1, 2, 3])
    seen = []

    def service(verb: str, args: dict[str, Any]) -> dict[str, int]:
        seen.append(next(grants, 3))
        return {"grants": seen[-1]}

    with Verbs(service) as made:
        made.ask(asked("settle"))
        answers = []
        while made.pending:
            answers += made.answered()
    assert [answer.refusal for answer in answers] == [None]
    assert seen[:4] == [1, 2, 3, 3]


def test_settling_waits_for_questions_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "QUIET_NS", 20 * MS)
    monkeypatch.setattr(verbs, "LOOK_S", 0.001)
    questions = iter([3] * 100)
    seen = []

    def service(verb: str, args: dict[str, Any]) -> dict[str, int]:
        seen.append(next(questions, 0))
        return {"grants": 7, "questions": seen[-1]}

    with Verbs(service) as made:
        made.ask(asked("settle"))
        answers = []
        while made.pending:
            answers += made.answered()
    assert answers[0].refusal is None
    assert seen[:101] == [3] * 100 + [0]


def test_settling_gives_up_where_slices_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "SETTLE_NS_MAX", 20 * MS)
    monkeypatch.setattr(verbs, "LOOK_S", 0.001)
    grants = iter(range(10**9))

    with Verbs(lambda verb, args: {"grants": next(grants)}) as made:
        made.ask(asked("settle"))
        answers = []
        while made.pending:
            answers += made.answered()
    assert answers[0].refusal == "settle: the gateway goes on handing out slices"
