"""A customer's life by `pktoll subscribers`: the book and the coupon database change together."""

from pathlib import Path

import pytest

from engine import calendar
from engine.pool import open_store
from engine.pool.store import StoreOptions
from engine.units import GB
from tests.support.desk import (
    CONTRACT,
    ICCID,
    IMSI,
    LINE,
    MINIMUM,
    MIO,
    MSISDN,
    SECOND,
    THIRD,
    Run,
    Shown,
    contract_of,
    everything,
    import_family,
    sims,
    states,
)

# --- a customer's life ------------------------------------------------------------------------------


def test_a_new_customer_applies_starts_and_has_coupons(run: Run, shown: Shown, url: str) -> None:
    """A1, A3, C2, L4, S2"""
    assert run("pool", "init").status == 0
    made = shown("subscribers", "apply", "--plan", "light-start", "--incomplete")
    assert (made["schema"], made["mio_id"]) == ("pktoll.subscribers-change/1", MIO)
    assert [effect["effect"] for effect in made["effects"]] == ["AccountOpened", "ContractAdded"]
    added = shown("subscribers", "add", "line", CONTRACT, "--imsi", IMSI, "--form", "nano")
    assert added["effects"][0]["line"] == LINE
    assert shown("pool", "balance")["contracts"] == []
    refused = run("subscribers", "start", CONTRACT)
    assert refused.status == 1
    assert "(A3)" in refused.err
    assert run("subscribers", "complete", MIO).status == 0
    assert run("subscribers", "send-document", CONTRACT).status == 0
    assert run("subscribers", "start", CONTRACT).out == (
        f"contract {CONTRACT} has started with plan light-start\n"
    )
    (contract,) = shown("pool", "balance")["contracts"]
    assert contract["in_database_bytes"] == GB * 26 // 30
    assert [sim["imsi"] for sim in contract["sims"]] == [IMSI]
    assert run("pool", "charge", CONTRACT).status == 0
    assert run("pool", "switch", IMSI, "off").out == f"line {LINE}: coupon off\n"
    store = open_store(url, StoreOptions(gateway="gw"))
    assert store.open_line(CONTRACT, LINE, 0) == 0
    assert store.grant(
        "g",
        CONTRACT,
        LINE,
        calendar.month_start_ns(
            calendar.parse_month("2014-01")
        ),  # the minimum term is over (A5) - 1
    )[1]
    store.settle(LINE, 0, True)
    store.close()
    assert run("pool", "audit").status == 0


@pytest.mark.usefixtures("family")
def test_contracts_lines_and_codes_are_given_or_are_the_next_free_ones(
    run: Run, shown: Shown, url: str
) -> None:
    """A1, A2, N6"""
    made = shown("subscribers", "add", "contract", MIO, "--contract", "hddABCDEFGH")
    assert (made["mio_id"], made["effects"][0]["contract"]) == (MIO, "hddABCDEFGH")
    assert shown("subscribers", "add", "contract", MIO)["effects"][0]["contract"] == "hdd00000003"
    other = shown("subscribers", "apply", "MAxyz00001", "--contract", "hdd00000077")
    assert other["mio_id"] == "MAxyz00001"
    line = shown("subscribers", "add", "line", "hdd00000077", "--line", "hdo00000088", "--voice")
    assert line["effects"][0]["line"] == "hdo00000088"
    before = everything(run)
    for arguments in (
        ("apply", "MB1"),
        ("apply", "--contract", CONTRACT),
        ("apply", "--plan", "giga"),
        ("apply", "--service", "fax"),
        ("add", "contract", "MAxyz00001", "--contract", "hdd00000077"),
        ("add", "line", "hddABCDEFGH", "--imsi", IMSI),
        ("add", "line", "hddABCDEFGH", "--line", LINE),
        ("add", "line", "hddABCDEFGH", "--imsi", "12a45"),
        ("add", "line", "hddABCDEFGH", "--address", "300.1.1.1"),
        ("add", "line", CONTRACT),
        ("add", "line", "nobody"),
        ("suspend", CONTRACT),
        ("start", LINE),
    ):
        done = run("subscribers", *arguments)
        assert (done.status, done.out) == (1, ""), arguments
        assert done.err.startswith("pktoll: ")
        assert done.err.count("\n") == 1
        assert everything(run) == before


@pytest.mark.usefixtures("family")
def test_suspending_and_resuming_reaches_the_coupon_database_too(run: Run, shown: Shown) -> None:
    """L1, Q4"""
    assert run("subscribers", "suspend", MSISDN).out == f"line {LINE} is suspended\n"
    assert states(shown)[LINE] == "suspended"
    assert sims(shown)[LINE]["in_service"] is False
    assert run("subscribers", "suspend", LINE).status == 1
    assert run("subscribers", "resume", LINE, "-q").out == ""
    assert sims(shown)[LINE]["in_service"] is True


@pytest.mark.usefixtures("family")
def test_a_lost_card_stays_refused_and_a_new_one_keeps_the_line(run: Run, shown: Shown) -> None:
    """L2, L3"""
    new = "8981100000000000999"
    assert run("subscribers", "lost", LINE).status == 0
    done = run("subscribers", "resume", LINE)
    assert done.status == 1
    assert "(L3)" in done.err
    made = shown("subscribers", "replace-sim", LINE, "--iccid", new, "--form", "micro")
    assert "SimReplaced" in [effect["effect"] for effect in made["effects"]]
    (sim,) = sims(shown, new).values()
    assert (sim["line"], sim["iccid"], sim["msisdn"], sim["in_service"]) == (
        LINE,
        new,
        MSISDN,
        True,
    )
    assert list(sims(shown, ICCID)) == [LINE]
    assert run("subscribers", "replace-sim", SECOND, "--iccid", ICCID).status == 1
    assert run("subscribers", "replace-sim", LINE).status == 2


@pytest.mark.usefixtures("family")
def test_a_removed_line_loses_its_balance_and_frees_its_names(run: Run, shown: Shown) -> None:
    """L4, A8"""
    assert run("subscribers", "remove", LINE).status == 0
    assert list(sims(shown)) == [SECOND, THIRD]
    done = run("pool", "switch", LINE, "on")
    assert done.status == 1
    assert "the coupon database does not have it" in done.err
    assert run("subscribers", "add", "line", CONTRACT, "--imsi", IMSI).status == 0
    assert sims(shown)["hdo00000005"]["imsi"] == IMSI
    for line in (SECOND, THIRD):
        assert run("subscribers", "remove", line).status == 0
    done = run("subscribers", "remove", "hdo00000005")
    assert done.status == 1
    assert "(A8)" in done.err


@pytest.mark.usefixtures("family")
def test_a_line_that_a_gateway_has_open_is_cut_first_and_removed_later(
    run: Run, shown: Shown, url: str
) -> None:
    """L4, L1"""
    store = open_store(url, StoreOptions(gateway="gw"))
    store.open_line(CONTRACT, LINE, 0)
    store.notices()
    text = run("subscribers", "remove", LINE).out
    assert f"line {LINE} is removed from {CONTRACT}" in text
    assert f"line {LINE}: gateway gw still has it open; out of service from now on" in text
    (notice,) = store.notices()
    assert notice.line == LINE
    assert notice.news is not None
    assert notice.news.in_service is False
    assert "gateway gw still has it open" in run("subscribers", "advance").out
    assert [each.kind for each in store.notices()] == []
    store.settle(LINE, 0, True)
    store.close()
    assert LINE in sims(shown)
    assert run("subscribers", "advance").status == 0
    assert LINE not in sims(shown)
    assert run("pool", "audit").status == 0


@pytest.mark.usefixtures("family")
def test_a_cancellation_ends_contract_coupons_and_lines_at_the_month_s_end(
    run: Run, shown: Shown
) -> None:
    """A4, A5, C6, Q1"""
    day = "2014-02-10T00:00:00+09:00"
    assert run("subscribers", "advance", "--at", day).status == 0
    text = run("subscribers", "cancel", CONTRACT, "--at", day).out
    assert text == f"contract {CONTRACT} is cancelled as of the end of 2014-02-28\n"
    assert (
        "nothing was due" in run("subscribers", "advance", "--at", "2014-02-28T23:59:59+09:00").out
    )
    made = shown("subscribers", "advance", "--at", "2014-03-01T00:00:00+09:00")
    effects = [effect["effect"] for effect in made["changes"][0]["effects"]]
    assert effects == ["LineRemoved"] * 3 + ["ContractEnded"]
    after = "2014-03-01T00:00:00+09:00"
    (contract,) = shown("pool", "balance", CONTRACT, "--at", after)["contracts"]
    assert (contract["in_database_bytes"], contract["sims"]) == (0, [])
    done = run("pool", "charge", CONTRACT, "--at", after)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "has ended" in done.err
    assert run("subscribers", "suspend", LINE, "--at", after).status == 1
    assert "nothing was due" in run("subscribers", "advance", "--at", after).out
    assert run("pool", "audit").status == 0


@pytest.mark.usefixtures("family")
def test_a_take_back_counts_until_20_00_of_the_last_day(run: Run, shown: Shown, url: str) -> None:
    """A4, A8"""
    day = "2014-02-10T00:00:00+09:00"
    assert run("subscribers", "cancel", LINE, "--at", day).status == 0
    assert contract_of(shown, CONTRACT, day)["state"] == "active"
    assert run("subscribers", "cancel", CONTRACT, "--at", day).status == 0
    assert contract_of(shown, CONTRACT, day)["state"] == "cancelled"
    before = everything(run)
    done = run("subscribers", "take-back", CONTRACT, "--at", "2014-02-28T20:00:00+09:00")
    assert (done.status, done.out) == (1, "")
    assert "(A4)" in done.err
    assert everything(run) == before
    last = "2014-02-28T19:59:59.999999999+09:00"
    assert run("subscribers", "take-back", CONTRACT, "--at", last).status == 0
    assert contract_of(shown, CONTRACT, last)["state"] == "active"


def test_a_rescission_ends_a_contract_at_once_and_its_coupons(run: Run, shown: Shown) -> None:
    """A6"""
    assert run("pool", "init").status == 0
    for arguments in (("apply",), ("add", "line", CONTRACT), ("start", CONTRACT)):
        assert run("subscribers", *arguments).status == 0
    assert run("subscribers", "rescind", CONTRACT, "--at", "2013-11-13T00:00:00+09:00").status == 1
    assert run("subscribers", "rescind", CONTRACT, "--at", "2013-11-12T23:59:59+09:00").status == 0
    (contract,) = shown("pool", "balance", CONTRACT)["contracts"]
    assert (contract["in_database_bytes"], contract["sims"]) == (0, [])
    assert run("pool", "audit").status == 0


@pytest.mark.usefixtures("family")
def test_numbers_go_and_come_by_portability(run: Run, shown: Shown) -> None:
    """A7"""
    assert run("subscribers", "port-out", LINE, "--complete").status == 1
    assert run("subscribers", "port-out", LINE).status == 0
    assert run("subscribers", "port-out", LINE, "--complete").status == 0
    assert LINE not in sims(shown)
    new = ("add", "line", CONTRACT, "--msisdn", "819000000099", "--port-in")
    late = run("subscribers", *new, "2013-10-01T00:00:00+09:00")
    assert late.status == 1
    assert "(A7)" in late.err
    assert run("subscribers", *new, "2013-11-04T00:00:00+09:00").status == 0
    assert states(shown)["hdo00000005"] == "porting-in"
    assert sims(shown)["hdo00000005"]["in_service"] is False
    assert run("subscribers", "port-in", "819000000099").status == 0
    assert states(shown)["hdo00000005"] == "in-service"
    assert sims(shown)["hdo00000005"]["in_service"] is True


@pytest.mark.usefixtures("family")
def test_a_plan_change_brings_the_new_plan_s_bundle_from_the_first(run: Run, shown: Shown) -> None:
    """A10, C1"""
    day = "2013-12-10T00:00:00+09:00"
    done = run("subscribers", "change-plan", CONTRACT, "light-start", "--at", day)
    assert done.status == 1
    assert "(A10)" in done.err
    assert run("subscribers", "change-plan", MINIMUM, "light-start", "--at", day).status == 0
    assert contract_of(shown, MINIMUM, day)["plan"] == "minimum-start"
    first = "2014-01-01T00:00:00+09:00"
    made = shown("subscribers", "advance", "--at", first)
    assert [change["mio_id"] for change in made["changes"]] == [MIO, "MA00000002"]
    assert contract_of(shown, MINIMUM, first)["plan"] == "light-start"
    (contract,) = shown("pool", "balance", MINIMUM, "--at", first)["contracts"]
    assert [each["credit_id"] for each in contract["coupons"]] == ["bundle:hdd00000002:2014-01"]
    assert contract["good_bytes"] == GB
    assert "nothing was due" in run("subscribers", "advance", "--at", first).out
    assert run("pool", "audit").status == 0


@pytest.mark.usefixtures("family")
def test_bundles_follow_the_coupons_of_a_file_from_the_month_after(run: Run, shown: Shown) -> None:
    """C1: and what is there is never credited twice"""
    text = run("subscribers", "advance").out
    assert "nothing was due" in text
    text = run("subscribers", "advance", "--at", "2013-12-01T00:00:00+09:00").out
    assert f"contract {CONTRACT}: bundle bundle:{CONTRACT}:2013-12, {GB} bytes" in text
    coupons = shown("pool", "balance", CONTRACT)["contracts"][0]["coupons"]
    assert len(coupons) == 3


@pytest.mark.usefixtures("family")
def test_options_are_ordered_and_ended(run: Run, shown: Shown) -> None:
    """O1, O2"""
    minimum = MINIMUM
    assert run("subscribers", "option", "add", minimum, "nothing").status == 1
    made = shown("subscribers", "option", "add", minimum, "ipv6")
    assert made["effects"][0]["effect"] == "OptionAdded"
    assert "ipv6" in contract_of(shown, minimum)["options"]
    assert "options: ipv6" in run("subscribers", "show", minimum).out
    assert run("subscribers", "option", "add", minimum, "ipv6").status == 1
    assert run("subscribers", "option", "remove", minimum, "ipv6").status == 0
    assert "ipv6" not in contract_of(shown, minimum, "2014-02-01T00:00:00+09:00")["options"]


def test_a_contract_buys_coupons_to_its_last_nanosecond_and_not_after(
    run: Run, shown: Shown, project: Path
) -> None:
    """A4, C3: whether or not its end was entered yet; a purchase that was made may be asked for again"""
    import_family(run, project)
    assert run("subscribers", "cancel", CONTRACT).status == 0
    ended = calendar.month_start_ns(
        calendar.parse_month("2014-01")
    )  # the minimum term is over (A5)
    buy = ("pool", "charge", CONTRACT, "--at")
    assert run(*buy, str(ended - 1), "--request", "last").status == 0
    before = shown("pool", "balance", CONTRACT)
    for advanced in (False, True):
        if advanced:
            assert run("subscribers", "advance", "--at", str(ended)).status == 0
            before = shown("pool", "balance", CONTRACT)
        done = run(*buy, str(ended))
        assert (done.status, done.out) == (1, "")
        assert done.err == (
            f"pktoll: contract {CONTRACT}: has ended, and buys no coupons any more (A4)\n"
        )
        again = shown(*buy, str(ended), "--request", "last")
        assert again["new"] is False
        assert shown("pool", "balance", CONTRACT) == before
