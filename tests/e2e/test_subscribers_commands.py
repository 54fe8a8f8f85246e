"""`pktoll subscribers` from the outside: files, what is listed and shown, and what is refused."""

from pathlib import Path

import pytest

from engine.units import GB, MB
from tests.support.desk import (
    CONTRACT,
    FOURTH,
    ICCID,
    IMSI,
    LINE,
    MINIMUM,
    MIO,
    MSISDN,
    Run,
    Shown,
    contract_of,
    everything,
    sims,
    states,
)

# --- files ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("family")
def test_an_import_brings_accounts_coupons_and_lines(run: Run, shown: Shown, project: Path) -> None:
    """A1, C1, C7, N6"""
    made = shown("subscribers", "list")
    assert made["schema"] == "pktoll.subscribers-list/1"
    assert [account["mio_id"] for account in made["accounts"]] == [MIO, "MA00000002"]
    assert contract_of(shown, CONTRACT)["plan"] == "family-share"
    contract, minimum = shown("pool", "balance")["contracts"]
    assert {each["credit_id"]: each["left_bytes"] for each in contract["coupons"]} == {
        f"file:{CONTRACT}:0": GB,
        f"file:{CONTRACT}:1": 100 * MB,
    }
    assert minimum["coupons"] == []
    first = contract["sims"][0]
    assert (first["imsi"], first["iccid"], first["msisdn"]) == (IMSI, ICCID, MSISDN)
    assert (first["coupon"], first["in_service"], first["gateway"]) == (True, True, None)
    book = str(project / "configs" / "subscribers" / "family.toml")
    again = shown("subscribers", "import", book)
    assert again["schema"] == "pktoll.subscribers-import/1"
    assert (again["contracts"], again["contracts_known"], again["coupons"]) == (0, 2, 0)
    assert "2 contracts were there already" in run("subscribers", "import", book).out
    assert run("pool", "audit").status == 0


@pytest.mark.usefixtures("family")
def test_an_import_adds_what_is_new_and_all_of_it_or_nothing(
    run: Run, shown: Shown, url: str, tmp_path: Path
) -> None:
    """A1, C2, C7: a contract that the book has is passed over"""
    book = tmp_path / "more.csv"
    header = "contract,mio_id,plan,started,line,imsi,balance_bytes,coupon,in_service\n"
    rows = f"{CONTRACT},,family-share,2013-11-01,{LINE},,,,\n"
    rows += "hdd00000009,,light-start,2013-11-16,hdo00000009,440100000000099,5,false,false\n"
    book.write_text(header + rows)
    made = shown("subscribers", "import", str(book), "--at", "2013-11-20T00:00:00+09:00")
    assert (made["accounts"], made["contracts"], made["contracts_known"]) == (1, 1, 1)
    (sim,) = sims(shown, "440100000000099").values()
    assert (sim["exact_balance_bytes"], sim["coupon"], sim["in_service"]) == (5, False, False)
    (coupon,) = shown("pool", "balance", "hdd00000009")["contracts"][0]["coupons"]
    assert coupon["credited_bytes"] == GB * 15 // 30
    before = everything(run)
    book.write_text(header + rows.replace("hdd00000009,,", f"hdd00000010,{MIO},"))
    done = run("subscribers", "import", str(book))
    assert (done.status, done.out) == (1, "")
    assert "is in the book already" in done.err
    book.write_text(header + rows.replace("hdd00000009", "hdd9"))
    done = run("subscribers", "import", str(book))
    assert (done.status, done.out) == (1, "")
    assert "hdd9 is no service code" in done.err
    assert everything(run) == before


IIJ4U = """
[[customer]]
name = "c1"
[[customer.contract]]
code = "4u-1"
started = 2001-04-01
[[customer.contract.option]]
name = "mail-basic"
[[customer]]
name = "c2"
mio_id = "MA00000001"
[[customer.contract]]
code = "4u-2"
started = 2002-04-01
[[customer.contract.option]]
name = "mail-extra"
[[customer.contract]]
code = "4u-3"
started = 2003-04-01
[[customer.contract.option]]
name = "flets-adsl"
"""


@pytest.mark.usefixtures("family")
def test_a_migration_moves_contracts_on_its_day_and_not_before(
    run: Run, shown: Shown, url: str, tmp_path: Path
) -> None:
    """A9"""
    file = tmp_path / "iij4u.toml"
    file.write_text(IIJ4U)
    before = everything(run)
    done = run("subscribers", "migrate", str(file), "--at", "2016-03-31T23:59:59.999999999+09:00")
    assert (done.status, done.out) == (1, "")
    assert done.err.endswith("(A9)\n")
    assert everything(run) == before
    day = "2016-04-01T00:00:00+09:00"
    made = shown("subscribers", "migrate", str(file), "--at", day)
    assert made["schema"] == "pktoll.subscribers-changes/1"
    assert [(each["mio_id"], each["version"]) for each in made["changes"]] == [
        ("MA00000003", 1),
        (MIO, 2),
    ]
    accounts = shown("subscribers", "list", "--at", day)["accounts"]
    assert [len(account["contracts"]) for account in accounts] == [3, 1, 1]
    after = everything(run)
    done = run("subscribers", "migrate", str(file), "--at", day)
    assert done.status == 1
    assert "has been moved already" in done.err
    assert everything(run) == after
    file.write_text("customer = 1")
    assert run("subscribers", "migrate", str(file), "--at", day).status == 3
    file.write_text(IIJ4U.replace("4u-", "4v-"))
    text = run("subscribers", "migrate", str(file), "--at", day).out
    assert text.startswith("MA00000004:\n")


# --- looking ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("family")
def test_show_finds_an_account_by_any_of_its_names(run: Run, shown: Shown) -> None:
    """N6"""
    every = [
        shown("subscribers", "show", name) for name in (MIO, CONTRACT, LINE, IMSI, ICCID, MSISDN)
    ]
    assert all(each == every[0] for each in every)
    made = every[0]
    assert (made["schema"], made["version"]) == ("pktoll.subscribers-show/1", 1)
    assert made["account"]["mio_id"] == MIO
    assert made["states"] == {CONTRACT: "active"}
    assert made["admissions"][LINE]["may_attach"] is True
    (entry,) = made["entries"]
    assert (entry["action"], entry["version"]) == ("import", 1)
    text = run("subscribers", "show", MSISDN).out
    for words in (f"mioID {MIO}, version 1", "family-share, active, since 2013-11-01", IMSI, "may"):
        assert words in text
    done = run("subscribers", "show", "nobody")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "pktoll: 'nobody': the contract book has no mioID, contract, line, ICCID, IMSI or telephone "
        "number of this name; see: pktoll subscribers list\n"
    )


@pytest.mark.usefixtures("family")
def test_the_list_is_as_of_the_time_that_is_asked_for(run: Run, shown: Shown, url: str) -> None:
    """A4: what is due by then has happened, whether or not it is stored yet"""
    assert run("subscribers", "apply", "--incomplete").status == 0
    assert run("subscribers", "cancel", MINIMUM).status == 0
    before = everything(run)
    text = run("subscribers", "list").out
    assert "to the end of 2013-11-30" in text
    for words in (
        MIO,
        CONTRACT,
        "family-share",
        "440100000000002",
        MSISDN,
        "in-service",
        "applied",
    ):
        assert words in text
    assert states(shown, MINIMUM, "2013-11-30T23:59:59.999999999+09:00") == {FOURTH: "suspended"}
    assert states(shown, MINIMUM, "2013-12-01T00:00:00+09:00") == {FOURTH: "removed"}
    assert (
        "MA00000003 (lapsed)" in run("subscribers", "list", "--at", "2014-01-01T00:00:00+09:00").out
    )
    text = run("subscribers", "show", FOURTH, "--at", "2014-01-01T00:00:00+09:00").out
    assert "no: " in text
    assert everything(run) == before


def test_an_empty_book_is_listed(run: Run) -> None:
    assert run("pool", "init").status == 0
    done = run("subscribers", "list")
    assert (done.status, done.err) == (0, "")
    assert "nothing was due" in run("subscribers", "advance").out
