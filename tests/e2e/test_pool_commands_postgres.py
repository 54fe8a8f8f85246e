"""`pktoll pool` and `pktoll subscribers` on PostgreSQL: the same commands, the same answers."""

from pathlib import Path

import pytest

from engine.pool import open_store
from engine.pool.store import StoreOptions
from engine.units import GB, MB
from tests.support import ledgers
from tests.support.command import call
from tests.support.desk import (
    CONTRACT,
    LINE,
    MIO,
    MSISDN,
    Run,
    Shown,
    commands,
    contract_of,
    documents,
    everything,
    import_family,
    sims,
    states,
)
from tests.support.postgres import Cluster, need_server


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """A new database of a server of the tests' own."""
    need_server()
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.fresh()


@pytest.fixture
def both(url: str, tmp_path: Path) -> tuple[str, str]:
    """A database of each kind, filled alike."""
    urls = (f"sqlite:///{tmp_path / 'coupons.db'}", url)
    for each in urls:
        ledgers.filled(each)
    return urls


def test_every_view_says_the_same_of_both_stores(
    both: tuple[str, str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q1-Q4, L5"""
    seen = []
    for url in both:
        run = commands(url, capfd, monkeypatch)
        shown = documents(run)
        ledgers.broken_off(url)
        at = ("--at", str(ledgers.NOW_NS))
        assert run("pool", "charge", ledgers.CONTRACT, "--request", "r", *at).status == 0
        assert run("pool", "charge", ledgers.CONTRACT, "--request", "r").status == 0
        assert run("pool", "switch", ledgers.SECOND, "on", *at).status == 0
        documents_of_it = [
            shown("pool", "balance", *at),
            shown("pool", "history", ledgers.CONTRACT, *at),
            shown("pool", "usage", *at),
            {name: value for name, value in shown("pool", "audit").items() if name != "database"},
        ]
        seen.append(documents_of_it)
    assert seen[0][:3] == seen[1][:3]
    for audit in (seen[0][3], seen[1][3]):
        for each in audit["sums"]["uncertain"]:
            assert each.pop("slice_id") > 0
    assert seen[0][3] == seen[1][3]


def test_the_31st_coupon_of_a_month_is_refused(run: Run, shown: Shown, project: Path) -> None:
    """C3, C4"""
    import_family(run, project)
    assert shown("pool", "charge", CONTRACT, "--coupons", "30")["month_coupons_left"] == 0
    before = everything(run)
    done = run("pool", "charge", CONTRACT)
    assert (done.status, done.out) == (1, "")
    assert "30" in done.err
    assert done.err.count("\n") == 1
    assert everything(run) == before


def test_a_customer_s_life(run: Run, shown: Shown, project: Path, url: str) -> None:
    """A4, A8, C1, L1, L4: the book and the coupon database change together"""
    import_family(run, project)
    import_family(run, project)
    assert set(sims(shown)) == {LINE, "hdo00000002", "hdo00000003"}
    assert run("subscribers", "suspend", MSISDN).status == 0
    assert sims(shown)[LINE]["in_service"] is False
    before = everything(run)
    assert run("subscribers", "suspend", MSISDN).status == 1
    assert run("subscribers", "add", "line", CONTRACT).status == 1
    assert everything(run) == before
    store = open_store(url, StoreOptions(gateway="gw"))
    store.open_line(CONTRACT, "hdo00000002", 0)
    assert "gateway gw still has it open" in run("subscribers", "remove", "hdo00000002").out
    store.settle("hdo00000002", 0, True)
    store.close()
    assert run("subscribers", "advance").status == 0
    assert set(sims(shown)) == {LINE, "hdo00000003"}
    assert run("subscribers", "add", "line", CONTRACT).status == 0
    assert states(shown)["hdo00000005"] == "in-service"
    assert "hdo00000005" in sims(shown)
    day = "2014-01-10T00:00:00+09:00"
    assert run("subscribers", "cancel", CONTRACT, "--at", day).status == 0
    end = "2014-02-01T00:00:00+09:00"
    assert run("subscribers", "advance", "--at", end).status == 0
    assert contract_of(shown, CONTRACT, end)["state"] == "ended"
    (contract,) = shown("pool", "balance", CONTRACT, "--at", end)["contracts"]
    assert (contract["credited_bytes"], contract["in_database_bytes"]) == (3 * GB + 100 * MB, 0)
    assert run("pool", "audit").status == 0


def test_a_row_that_was_edited_by_hand_is_named(
    run: Run, project: Path, url: str, postgres: Cluster
) -> None:
    """F18, G6"""
    import_family(run, project)
    database = url.partition("@/")[2].partition("?")[0]
    postgres.execute(
        "UPDATE pktoll.account SET document = replace(document, 'light', 'dark') || ' '"
        f" WHERE mio_id = '{MIO}'",
        database,
    )
    done = run("pool", "audit")
    assert done.status == 6
    assert MIO in done.err


def test_a_server_that_is_not_there_is_one_line_without_the_password(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """F7"""
    for command in (("pool", "balance"), ("pool", "init"), ("subscribers", "list")):
        url = f"postgresql://me:sesame@/none?host={tmp_path}"
        done = call(capfd, *command, url)
        assert (done.status, done.out) == (1, "")
        assert done.err.count("\n") == 1
        assert "sesame" not in done.err
