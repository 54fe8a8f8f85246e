"""Sessions of lines that only the contract book in the coupon database knows."""

from pathlib import Path

import pytest

from engine import subscribers
from engine.calendar import month_start_ns, parse_month
from engine.errors import RefusedError, UsageError
from engine.pool.store import Account, BookEntry, StoreOptions, open_store
from engine.runtime import Engine
from engine.subscribers import actions as do
from engine.subscribers import book, documents, views
from tests.support.gateway import MS, T0, packet, play, sim

OLD, NEW = "8981100000000000001", "8981100000000000002"
FILE = f"""
[[contract]]
code = "hdd00000001"
mio_id = "MA00000001"
plan = "family-share"
started = 2013-10-01
  [[contract.line]]
  code = "hdo00000001"
  iccid = "{OLD}"
  imsi = "440100000000001"
  [[contract.line]]
  code = "hdo00000002"
  msisdn = "819000000002"
"""
START = month_start_ns(parse_month("2013-10"))


def database(folder: Path, *actions: do.Action) -> str:
    """A coupon database with this book, after these actions."""
    path = folder / "book.toml"
    path.write_text(FILE, encoding="utf-8")
    with Engine.open() as engine:
        settings = engine.settings
    (account,) = views.from_book(subscribers.load(path, settings), START, settings)
    for action in actions:
        account = book.perform(account, action, T0 - MS, settings).account
    url = f"sqlite:///{folder}/a.db"
    store = open_store(url, StoreOptions(gateway=None))
    document = Account(account.mio_id, 1, documents.to_json(account))
    store.save_account(
        document, documents.names(account), BookEntry(account.mio_id, 1, T0, "x", "")
    )
    store.close()
    return url


def test_a_sim_of_the_book_attaches_with_its_plan_and_its_contracts_coupons(tmp_path: Path) -> None:
    """N6, S3, D1, C1: by card, IMSI or number; nothing else is said of it"""
    with Engine.open(pool=database(tmp_path)) as engine:
        engine.attach(imsi="440100000000001", address="10.1.0.1", at_ns=T0)
        assert (sim(engine)["contract"], sim(engine)["iccid"]) == ("hdd00000001", OLD)
        assert engine.snapshot()["contracts"][0]["plan"] == "family-share"
        assert play(engine, packet(T0)) == ["charged"]
        engine.attach(imsi="440100000000009", msisdn="819000000002", address="10.1.0.2", at_ns=T0)
        assert play(engine, packet(T0, "10.1.0.2")) == ["charged"]
        assert len(engine.snapshot()["sims"]) == 2


@pytest.mark.parametrize(
    ("action", "card", "words"),
    [
        (do.Suspend("hdo00000001"), OLD, "suspended"),
        (do.ReportLost("hdo00000001"), OLD, "lost"),
        (do.ReplaceSim("hdo00000001", NEW), OLD, f"{OLD} of line hdo00000001 was replaced"),
    ],
)
def test_a_sim_that_the_book_refuses_does_not_attach(
    tmp_path: Path, action: do.Action, card: str, words: str
) -> None:
    """L1, L2, L3: and is not taken for a new one"""
    with Engine.open(pool=database(tmp_path, action)) as engine:
        with pytest.raises(RefusedError, match=words):
            engine.attach(iccid=card, address="10.1.0.1", at_ns=T0)
        assert engine.snapshot()["sims"] == []


def test_a_new_card_attaches_and_the_old_one_no_more(tmp_path: Path) -> None:
    """L2"""
    url = database(tmp_path, do.ReplaceSim("hdo00000001", NEW))
    with Engine.open(pool=url) as engine:
        engine.attach(iccid=NEW, address="10.1.0.1", at_ns=T0)
        assert play(engine, packet(T0)) == ["charged"]
        with pytest.raises(RefusedError, match="was replaced"):
            engine.attach(iccid=OLD, at_ns=T0)


def test_ipv6_needs_the_option(tmp_path: Path) -> None:
    """O1: without it a session is IPv4 only"""
    address = "2001:db8:0:1::/64"
    engine = Engine.open(pool=database(tmp_path))
    with pytest.raises(RefusedError, match="IPv6 connection option"):
        engine.attach(iccid=OLD, address=address, at_ns=T0)
    engine.close()
    (tmp_path / "a.db").unlink()
    for rest in tmp_path.glob("a.db-*"):
        rest.unlink()
    url = database(tmp_path, do.AddOption("hdd00000001", "ipv6"))
    with Engine.open(pool=url) as engine:
        engine.attach(iccid=OLD, address=address, at_ns=T0)
        assert play(engine, packet(T0, "2001:db8:0:1::7", "2001:db8:9::1")) == ["charged"]


def test_a_stranger_is_a_new_sim_as_ever(tmp_path: Path) -> None:
    """N6: of the default plan; without a name it is nobody"""
    with Engine.open(pool=database(tmp_path)) as engine:
        engine.attach(imsi="440100000000777", address="10.1.0.7", at_ns=T0)
        assert sim(engine)["contract"] == "440100000000777"
        with pytest.raises(UsageError, match="give the SIM's"):
            engine.attach(msisdn="819000000002", at_ns=T0)
