"""What events of a replay do to lines, and the contract book of the same database."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import load
from engine.errors import PoolUnavailable, RefusedError
from engine.pool import open_store
from engine.pool.store import Account, BookEntry, CouponStore, StoreOptions
from engine.runtime.bookkeeper import Bookkeeper
from engine.subscribers.actions import ReplaceSim, Suspend
from tests.support import packets
from tests.support.command import call, frame, write

OLD, NEW, OTHER = (f"898110000000000000{number}" for number in (1, 2, 3))
LINE, IDLE = "hdo00000001", "hdo00000002"
S = 10**9
BOOK = "".join(
    f"""
[[contract]]
code = "hdd0000000{number}"
plan = "light-start"
started = 2013-10-01
  [[contract.line]]
  code = "hdo0000000{number}"
  iccid = "{iccid}"
  addresses = ["10.1.0.{number}"]
"""
    for number, iccid in ((1, OLD), (2, OTHER))
)


def at(seconds: int) -> int:
    return packets.TIME_NS + seconds * S


class Desk:
    """Commands on one database."""

    def __init__(self, capfd: pytest.CaptureFixture[str], folder: Path) -> None:
        self.capfd, self.folder = capfd, folder
        self.url = f"sqlite:///{folder}/coupons.db"
        (folder / "book.toml").write_text(BOOK, encoding="utf-8")
        self.do("pool", "init", "--subscribers", f"{folder}/book.toml", "--at", str(at(0)))

    def do(self, *arguments: str, status: int = 0) -> str:
        done = call(self.capfd, *arguments, "--pool", self.url)
        assert done.status == status, done
        return done.out or done.err

    def bill(self, first: int, *events: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Four packets of 100 bytes from that second on; the first SIM, and what was said."""
        day = write(
            self.folder / "day.pcap", [frame((first + n) * S, src="10.1.0.1") for n in range(4)]
        )
        file = self.folder / "events.jsonl"
        file.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        done = call(
            self.capfd,
            *("replay", day, "--pool", self.url, "--events", str(file), "--format", "json"),
        )
        assert done.status == 0, done
        sim: dict[str, Any] = json.loads(done.out)["sims"][0]
        return sim, done.err

    def show(self, second: int) -> dict[str, Any]:
        text = self.do("subscribers", "show", LINE, "--at", str(at(second)), "--format", "json")
        shown: dict[str, Any] = json.loads(text)
        return shown

    def actions(self) -> list[tuple[str, int]]:
        return [(entry["action"], entry["at_ns"]) for entry in self.show(99)["entries"]]


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Desk:
    return Desk(capfd, tmp_path)


def test_a_line_that_an_event_suspends_is_suspended_in_the_book_and_can_be_resumed(
    desk: Desk,
) -> None:
    """L1, Q4, U2: at the event's time; the command and the next replay see the same line"""
    sim, _ = desk.bill(0, {"at_ns": at(1), "do": "suspend", "line": LINE})
    assert (sim["up"]["charged_bytes"], sim["up"]["dropped_bytes"]) == (100, 300)
    assert desk.show(9)["admissions"][LINE]["in_service"] is False
    assert desk.actions() == [("import", at(0)), ("suspend", at(1))]
    desk.do("subscribers", "resume", LINE, "--at", str(at(10)))
    assert desk.bill(20)[0]["up"]["charged_bytes"] == 400


def test_an_event_that_changes_nothing_leaves_the_book_as_it_is(desk: Desk) -> None:
    """L1: a replay that is repeated is not refused"""
    resume = {"at_ns": at(2), "do": "resume", "line": LINE}
    for first in (0, 10):
        sim, said = desk.bill(first, resume | {"at_ns": at(first + 2)})
        assert (sim["up"]["charged_bytes"], said) == (400, "")
    suspend = {"at_ns": at(21), "do": "suspend", "line": LINE}
    assert desk.bill(20, suspend, suspend | {"at_ns": at(22)})[1] == ""
    assert desk.actions() == [("import", at(0)), ("suspend", at(21))]


def test_a_lost_line_is_not_resumed_by_an_event_and_serves_again_with_a_new_card(
    desk: Desk,
) -> None:
    """L2, L3: the book has the new card, and refuses the old one"""
    desk.do("subscribers", "lost", LINE, "--at", str(at(1)))
    sim, said = desk.bill(10, {"at_ns": at(11), "do": "resume", "line": LINE})
    assert sim["up"]["dropped_bytes"] == 400
    assert "a card that was reported lost stays refused" in said
    new = {"at_ns": at(21), "do": "replace-sim", "line": LINE, "iccid": NEW}
    sim, said = desk.bill(20, new)
    assert (sim["iccid"], said) == (NEW, "")
    assert (sim["up"]["dropped_bytes"], sim["up"]["charged_bytes"]) == (100, 300)
    assert desk.bill(30)[0]["iccid"] == NEW
    back = ("subscribers", "replace-sim", LINE, "--iccid", OLD, "--at", str(at(40)))
    assert "stays refused (L3)" in desk.do(*back, status=1)


def test_a_suspended_line_stays_so_with_a_new_card(desk: Desk) -> None:
    """L1, L2"""
    desk.do("subscribers", "suspend", LINE, "--at", str(at(1)))
    new = {"at_ns": at(11), "do": "replace-sim", "line": LINE, "iccid": NEW}
    sim, _ = desk.bill(10, new)
    assert (sim["iccid"], sim["up"]["dropped_bytes"]) == (NEW, 400)


def test_the_books_time_never_goes_back(desk: Desk) -> None:
    """U2: a capture of before the account's last change"""
    desk.do("subscribers", "option", "add", "hdd00000001", "ipv6", "--at", str(at(50)))
    desk.bill(0, {"at_ns": at(1), "do": "suspend", "line": LINE})
    assert desk.actions()[-1] == ("suspend", at(50))


# --- others at the same account ---------------------------------------------------------------------


def operator(desk: Desk, answer_ms: int = 2_000) -> CouponStore:
    return open_store(desk.url, StoreOptions(gateway=None, answer_ms=answer_ms))


class Slow:
    """A store whose caller loses the race: another process changes the account first."""

    lasting = True

    def __init__(self, store: CouponStore, desk: Desk) -> None:
        self._store, self._desk, self._late = store, desk, True

    def find_account(self, kind: str, name: str) -> Account | None:
        return self._store.find_account(kind, name)

    def save_account(self, account: Account, names: Any, entry: BookEntry) -> None:
        if self._late:
            self._late = False
            option = ("subscribers", "option", "add", "hdd00000001", "ipv6")
            self._desk.do(*option, "--at", str(at(1)))
        self._store.save_account(account, names, entry)


def test_an_account_that_another_process_changed_meanwhile_is_looked_at_again(desk: Desk) -> None:
    """A1, L1: neither change is lost"""
    store = operator(desk)
    Bookkeeper(Slow(store, desk), load(None)).enter(Suspend(LINE), at(2))  # type: ignore[arg-type]
    store.close()
    assert [action for action, _ in desk.actions()] == ["import", "add-option", "suspend"]
    assert desk.show(3)["admissions"][LINE]["reason"] == f"line {LINE} is suspended"


def test_a_card_of_another_account_is_refused_and_a_locked_database_is_no_refusal(
    desk: Desk,
) -> None:
    """N6, F6: nothing is changed"""
    store, other = operator(desk, answer_ms=50), operator(desk)
    keeper = Bookkeeper(store, load(None))
    with pytest.raises(RefusedError, match=f"replace-sim: .*{OTHER} is account MA"):
        keeper.enter(ReplaceSim(LINE, OTHER), at(1))
    other.begin()
    other.credit("c", "hdd00000001", "bundle", 1, 0, at(9))
    with pytest.raises(PoolUnavailable):
        keeper.enter(Suspend(LINE), at(1))
    other.rollback()
    assert keeper.enter(Suspend("hdo0000000X"), at(1)) == ()
    for each in (store, other):
        each.close()
    assert desk.actions() == [("import", at(0))]
