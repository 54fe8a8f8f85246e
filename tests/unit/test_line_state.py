"""What a coupon database remembers of lines and what others do to it meanwhile: states, usage, cards."""

from datetime import date
from pathlib import Path

import apsw
import pytest

from engine import calendar, clock
from engine.errors import PoolFenced, UsageError
from engine.pool.store import CouponStore, LineNews, Notice, StoreOptions, open_store
from engine.runtime import Engine, population
from engine.subscribers import Book, Contract, ReplaceSim
from engine.units import MB
from tests.support.gateway import (
    DAY,
    DNS,
    MS,
    NOV_5,
    T0,
    UE_2,
    book,
    gateway,
    line,
    packet,
    play,
    settings,
    sim,
)

TODAY = calendar.day_of(T0)
S = 1_000 * MS


def on_file(path: Path, coupon_bytes: int | None = 5_000, **options: object) -> Engine:
    """An engine on a file, with the lines a and b."""
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway=str(options.pop("name", "one"))))
    return gateway(book(line(), line(2), coupon_bytes=coupon_bytes), store=store, **options)


def operator(path: Path) -> CouponStore:
    return open_store(f"sqlite:///{path}", StoreOptions(gateway=None))


def shown(engine: Engine) -> list[int | None]:
    return [found["shown_balance_bytes"] for found in engine.snapshot()["sims"]]


# --- the balance that customers see -------------------------------------------------------------


def test_the_balance_shown_stays_until_one_of_three_things_happens() -> None:
    """L5: not at every packet, but when the coupon goes off; the exact figure is there as well"""
    engine = gateway(book(line(), coupon_bytes=5_000))
    assert play(engine, packet(T0), packet(T0)) == ["charged"] * 2
    assert (shown(engine), sim(engine)["balance_bytes"]) == ([None], 4_800)
    engine.switch_coupon("a", on=True, at_ns=T0)  # it was on
    assert shown(engine) == [None]
    engine.switch_coupon("a", on=False, at_ns=T0)
    assert shown(engine) == [4_800]
    engine.switch_coupon("a", on=True, at_ns=T0)
    play(engine, packet(T0))
    assert (shown(engine), sim(engine)["balance_bytes"]) == ([4_800], 4_700)


@pytest.mark.parametrize("verb", ["detach", "suspend"])
def test_the_balance_shown_is_brought_up_to_date_when_a_session_ends(verb: str) -> None:
    """L5, L1"""
    engine = gateway(book(line(), coupon_bytes=5_000))
    play(engine, packet(T0))
    getattr(engine, verb)("a", at_ns=T0)
    assert shown(engine) == [4_900]
    getattr(engine, verb)("a", at_ns=T0)  # nothing to end any more
    assert shown(engine) == [4_900]


def test_the_balance_shown_is_brought_up_to_date_at_nothing_left() -> None:
    """L5: also of a SIM that had a balance when the database was found to be empty"""
    engine = gateway(book(line(balance_bytes=150), line(2)))
    assert play(engine, packet(T0, UE_2)) == ["slow"]
    assert shown(engine) == [None, 0]
    play(engine, packet(T0))
    assert shown(engine) == [None, 0]
    assert play(engine, packet(T0), packet(T0)) == ["charged", "slow"]
    assert shown(engine) == [0, 0]


# --- from run to run ----------------------------------------------------------------------------


def test_a_switch_and_a_suspension_outlive_the_run(tmp_path: Path) -> None:
    """I8, Q4: the subscriber file still says otherwise"""
    with on_file(tmp_path / "a.db") as engine:
        engine.switch_coupon("a", on=False, at_ns=T0)
        engine.suspend("b", at_ns=T0)
    with on_file(tmp_path / "a.db") as engine:
        assert play(engine, packet(T0), packet(T0, UE_2)) == ["slow", "suspended"]
        engine.resume("b", at_ns=T0)
    with on_file(tmp_path / "a.db") as engine:
        assert play(engine, packet(T0, UE_2)) == ["charged"]


def test_states_of_a_large_book_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q4: whichever way they are looked up"""
    with on_file(tmp_path / "a.db") as engine:
        engine.switch_coupon("a", on=False, at_ns=T0)
    monkeypatch.setattr(population, "FEW_CONTRACTS", 0)
    store = open_store(f"sqlite:///{tmp_path / 'a.db'}")
    with gateway(book(line(), coupon_bytes=5_000), store=store) as engine:
        assert [s["coupon"] for s in engine.snapshot()["sims"]] == [False]


def test_what_a_run_leaves_is_what_the_database_says_of_its_lines(tmp_path: Path) -> None:
    """Q2, Q4, L5, I8: balance, switch, service, regulation"""
    made = settings(restriction_bytes=150)
    with on_file(tmp_path / "a.db", settings=made) as engine:
        engine.switch_coupon("b", on=False, at_ns=T0)
        play(engine, packet(T0), packet(T0, UE_2), packet(T0, UE_2))
    store = operator(tmp_path / "a.db")
    a, b = store.lines("hdd1")
    assert (a.balance_bytes, a.shown_bytes, a.used_bytes) == (4_900, 4_900, 100)
    assert (a.coupon_on, a.in_service, a.regulated) == (True, True, False)
    assert (b.balance_bytes, b.coupon_on, b.in_service) == (0, False, True)
    store.close()


# --- while others are at it ---------------------------------------------------------------------


def test_what_an_operator_does_is_heard_of_before_the_next_batch(tmp_path: Path) -> None:
    """C3, P3, L1, Q4: charge, switch and suspension by another process"""
    path = tmp_path / "a.db"
    with on_file(path, coupon_bytes=0) as engine:
        assert play(engine, packet(T0), packet(T0, UE_2)) == ["slow"] * 2
        other = operator(path)
        other.buy("one", "hdd1", 1, T0)
        assert play(engine, packet(T0)) == ["charged"]
        other.note("a", LineNews(T0, coupon_on=False))
        other.note("b", LineNews(T0, in_service=False))
        assert play(engine, packet(T0), packet(T0, UE_2)) == ["slow", "suspended"]
        other.note("b", LineNews(T0, in_service=True))
        assert play(engine, packet(T0, UE_2)) == ["charged"]
        other.credit("of nobody here", "hdd9", "bundle", 5, 0, T0)
        assert play(engine, packet(T0, UE_2)) == ["charged"]
        other.close()


def test_after_a_broken_connection_everything_is_looked_at(tmp_path: Path) -> None:
    """F7: what was missed cannot be told apart"""
    path = tmp_path / "a.db"
    with on_file(path, coupon_bytes=0) as engine:
        assert play(engine, packet(T0), packet(T0, UE_2)) == ["slow"] * 2
        other = operator(path)
        other.buy("one", "hdd1", 1, T0)
        other.note("b", LineNews(T0, coupon_on=False))
        other.close()
        engine.store.notices()  # lost
        engine.population.hear([Notice("all")])
        assert play(engine, packet(T0), packet(T0, UE_2)) == ["charged", "slow"]


def test_a_quiet_gateway_extends_its_lease_and_one_that_lost_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I4, F11: nothing of the batch is let out, though it needed no slice"""
    path = tmp_path / "a.db"
    engine = on_file(path)
    play(engine, packet(T0))
    later_ns = clock.lease_ns() + 30 * S
    monkeypatch.setattr("engine.clock.lease_ns", lambda: later_ns)
    play(engine, packet(T0))
    with apsw.Connection(str(path)) as other:
        assert other.execute("SELECT min(lease_until_ns) FROM run").get > clock.now_ns()
        other.execute("UPDATE run SET lease_until_ns = 0")
    thief = open_store(f"sqlite:///{path}", StoreOptions(gateway="two"))
    thief.open_line("hdd1", "a", 0)
    monkeypatch.setattr("engine.clock.lease_ns", lambda: later_ns + 30 * S)
    with pytest.raises(PoolFenced):
        play(engine, packet(T0))
    engine.close(clean=False)
    assert thief.audit() == []
    thief.close()


def test_a_line_may_move_to_another_gateway_and_back(tmp_path: Path) -> None:
    """N6, D6, I5: what each used is counted once"""
    path = tmp_path / "a.db"
    with on_file(path, coupon_bytes=5 * MB) as one, on_file(path, 5 * MB, name="two") as two:
        assert play(one, packet(T0), packet(T0)) == ["charged"] * 2
        one.detach("a", at_ns=T0)
        two.open_session("a", at_ns=T0)
        assert play(two, packet(T0)) == ["charged"]
        assert sim(two)["balance_bytes"] == 5 * MB - 300
        two.detach("a", at_ns=T0)
        one.open_session("a", at_ns=T0)
        assert play(one, packet(T0)) == ["charged"]
        assert sim(one)["balance_bytes"] == 5 * MB - 400
        assert one.store.lines("hdd1")[0].gateway == "one"
    store = operator(path)
    assert store.lines("hdd1")[0].used_bytes == 400
    assert store.audit() == []
    store.close()


# --- usage by day -------------------------------------------------------------------------------


def usage(path: Path, code: str = "a") -> list[tuple[int, ...]]:
    store = operator(path)
    found = [row[:4] for row in store.usage(code, 0)]
    store.close()
    return found


def test_usage_is_kept_by_japanese_day(tmp_path: Path) -> None:
    """Q3, U2: with and without coupon, to the nanosecond of midnight, added up over runs"""
    path = tmp_path / "a.db"
    midnight = NOV_5 + DAY
    with on_file(path, coupon_bytes=150) as engine:
        dns = packet(T0, dst=DNS, ports=(5_000, 53), length=70)
        play(engine, packet(T0), dns, packet(midnight - 1), packet(midnight))
        play(engine, packet(midnight + 3 * DAY))
    assert usage(path) == [
        (TODAY, 150, 0, 70),
        (TODAY + 1, 0, 100, 0),
        (TODAY + 4, 0, 100, 0),
    ]
    assert usage(path, "b") == []
    with on_file(path, coupon_bytes=150) as engine:
        play(engine, packet(midnight + 3 * DAY + S))
    assert usage(path)[-1] == (TODAY + 4, 0, 200, 0)


def test_usage_is_the_same_for_any_number_of_shards(tmp_path: Path) -> None:
    """Q3, G8"""
    contracts = tuple(
        Contract(f"hdd{number}", "plan", date(2013, 11, 1), (line(number),), ())
        for number in (1, 2)
    )
    for shards in (1, 2):
        path = tmp_path / f"{shards}.db"
        made = open_store(f"sqlite:///{path}")
        with gateway(Book(contracts), store=made, shards=shards) as engine:
            play(engine, packet(T0), packet(T0, UE_2), packet(T0, UE_2))
        assert usage(path) == [(TODAY, 0, 100, 0)]
        assert usage(path, "b") == [(TODAY, 0, 200, 0)]


# --- cards --------------------------------------------------------------------------------------

OLD, NEW = "8981100000000000001", "8981100000000000002"


def test_a_replaced_card_is_refused_and_the_new_one_goes_on() -> None:
    """L2, L3: number, balance and counters stay; the session of the old card ends"""
    card = line(iccid=OLD, msisdn="819000000001")
    engine = gateway(book(card, coupon_bytes=5_000))
    play(engine, packet(T0))
    engine.replace_sim("a", iccid=NEW, at_ns=T0)
    report = sim(engine)
    assert (report["iccid"], report["msisdn"]) == (NEW, "819000000001")
    assert (report["balance_bytes"], report["shown_balance_bytes"]) == (4_900, 4_900)
    with pytest.raises(UsageError, match=f"{OLD} of line a was replaced"):
        engine.attach(iccid=OLD, at_ns=T0)
    with pytest.raises(UsageError, match="no line has"):
        engine.detach(OLD, at_ns=T0)
    engine.attach(iccid=NEW, at_ns=T0)
    assert play(engine, packet(T0)) == ["charged"]
    assert sim(engine)["up"]["charged_bytes"] == 200
    for taken in (OLD, NEW):
        with pytest.raises(UsageError, match="somebody's already"):
            engine.replace_sim("a", iccid=taken, at_ns=T0)


def test_a_card_may_be_replaced_at_a_time() -> None:
    """L2: an event of a file; a line without a known card gets its first"""
    engine = gateway(book(line(), coupon_bytes=5_000))
    engine.schedule([ReplaceSim(at_ns=T0 + S, line="a", iccid=NEW)])
    play(engine, packet(T0), packet(T0 + S))
    assert sim(engine)["iccid"] == NEW
    assert sim(engine)["up"]["charged_bytes"] == 200
