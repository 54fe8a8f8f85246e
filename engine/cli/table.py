"""A report as tables for people. Only here are numbers made easier to read."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine import units
from engine.cli.console import Output

SIMS_SHOWN = 50
TUNNELS_SHOWN = 20


def size(count_bytes: int) -> str:
    """Bytes for a person, in the service's binary units (U1); exact below 10 000."""
    for unit, name in ((units.GB, "GB"), (units.MB, "MB"), (units.KIB, "kB")):
        if count_bytes >= unit and count_bytes >= 10_000:
            return f"{count_bytes / unit:.2f} {name}"
    return f"{count_bytes} B"


def show(document: dict[str, Any], console: Console | None = None) -> None:
    """Print the report: SIMs, contracts, rating groups, drops, tunnels, and a line of totals."""
    console = console or Output()
    console.print(_sims(document, console.width))
    console.print(_contracts(document, console.width))
    if document["rating_groups"]:
        console.print(_rating_groups(document))
    if document["drops"]:
        console.print(_drops(document))
    if document["tunnels"]:
        console.print(_tunnels(document))
    if document["sessions"]:
        console.print(_sessions(document["sessions"]), highlight=False)
    if "sleeping_sims" in document:
        count = document["sleeping_sims"]
        console.print(f"{count:,} SIM{'s' * (count != 1)} of the table slept.", highlight=False)
    totals, timing = document["totals"], document["timing"]
    console.print(
        f"[bold]{totals['packets']:,}[/] packets of SIMs, {size(totals['inner_bytes'])}: "
        f"[green]{size(totals['charged_bytes'])} charged[/], [yellow]{size(totals['slow_bytes'])} "
        f"slow[/], [cyan]{size(totals['exempt_bytes'])} exempt[/], {size(totals['free_bytes'])} free, "
        f"[red]{size(totals['dropped_bytes'])} dropped[/]; {totals['not_user_traffic_packets']:,} other "
        f"packets; {totals['grants']} slices, {size(totals['granted_bytes'])}.",
        highlight=False,
    )
    console.print(
        f"[dim]read {timing['read_s']:.2f} s, processed {timing['process_s']:.2f} s "
        f"({timing['packets_per_s']:,.0f} packets/s), compiled {timing['compile_s']:.2f} s[/]",
        highlight=False,
    )


def sim_name(sim: dict[str, Any]) -> str:
    """The first of its names that a SIM has: number, IMSI, ICCID, address or contract."""
    names = (sim[name] for name in ("msisdn", "imsi", "iccid", "address", "contract"))
    return escape(str(next(filter(None, names))))


def _state(sim: dict[str, Any]) -> str:
    if not sim["in_service"]:
        return "[red]suspended[/]"
    words = ["[green]on[/]" if sim["coupon"] else "[yellow]off[/]"]
    if sim["regulated"]:
        words.append("[red]restricted[/]")
    return " ".join(words)


def new_table(title: str) -> Table:
    """An empty table, as all of the command's look."""
    return Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )


CLASSES = ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes")
NARROW, TINY = 116, 78
"""columns of a terminal below which a table shows less: a figure that is cut off would mislead"""
MINOR = {"packets", "free", "waited", "slices"}
SPARED = MINOR | {"exempt", "dropped"}


def _sims(document: dict[str, Any], width: int) -> Table:
    """A line a SIM; classes that nobody used, and minor columns, are left out to fit a terminal."""
    sims = document["sims"]
    classes = [name for name in CLASSES if document["totals"][name] or name == "charged_bytes"]
    names = [
        "packets",
        *(name.removesuffix("_bytes") for name in classes),
        "waited",
        "slices",
        "left",
    ]
    left_out = set() if width >= NARROW else MINOR if width >= TINY else SPARED
    shown = [name for name in names if name not in left_out]
    table = new_table("SIMs")
    table.add_column("SIM", no_wrap=True)
    table.add_column("coupon", no_wrap=True)
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for sim in sims[:SIMS_SHOWN]:
        cells = _cells(sim)
        table.add_row(sim_name(sim), _state(sim), *(cells[name] for name in shown))
    _more(table, len(sims) - SIMS_SHOWN)
    return table


def _cells(sim: dict[str, Any]) -> dict[str, str]:
    up, down = sim["up"], sim["down"]
    wait_ms = max(up["max_delay_ns"], down["max_delay_ns"]) // units.NS_PER_MS
    return {
        "packets": f"{up['packets'] + down['packets']:,}",
        **{name.removesuffix("_bytes"): size(up[name] + down[name]) for name in CLASSES},
        "waited": f"{wait_ms} ms" if wait_ms else "-",
        "slices": str(sim["grants"]),
        "left": size(sim["balance_bytes"]),
    }


def _contracts(document: dict[str, Any], width: int) -> Table:
    contracts = document["contracts"]
    table = new_table("Coupon database")
    texts = ["code", "plan"] if width >= TINY else ["code"]
    headings = {"credited": "credited_bytes", "handed out": "granted_bytes"}
    headings |= {"expired": "expired_bytes"} if width >= TINY else {}
    headings |= {"in the database": "in_database_bytes"}
    for name in texts:
        table.add_column("contract" if name == "code" else name, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for contract in contracts[:SIMS_SHOWN]:
        names = [escape(contract[name]) for name in texts]
        table.add_row(*names, *(size(contract[name]) for name in headings.values()))
    _more(table, len(contracts) - SIMS_SHOWN)
    return table


def _rating_groups(document: dict[str, Any]) -> Table:
    """What passed as exempt, by rating group (X3)."""
    table = new_table("Exempt, by rating group")
    table.add_column("group")
    for heading in ("packets", "up", "down"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in document["rating_groups"]:
        number = group["rating_group"]
        name = escape(group["name"]) + (f" ({number})" if number else "")
        packets = group["up_packets"] + group["down_packets"]
        table.add_row(name, f"{packets:,}", size(group["up_bytes"]), size(group["down_bytes"]))
    return table


def _drops(document: dict[str, Any]) -> Table:
    table = new_table("Dropped, by reason")
    table.add_column("reason")
    table.add_column("packets", justify="right")
    table.add_column("bytes", justify="right")
    for reason, drop in document["drops"].items():
        table.add_row(reason, f"{drop['packets']:,}", size(drop["bytes"]))
    return table


def _tunnels(document: dict[str, Any]) -> Table:
    tunnels = document["tunnels"]
    table = new_table("Tunnels")
    table.add_column("TEID")
    table.add_column("destination")
    table.add_column("G-PDUs", justify="right")
    table.add_column("inner bytes", justify="right")
    busiest = sorted(tunnels, key=lambda t: -t["inner_bytes"])
    for tunnel in busiest[:TUNNELS_SHOWN]:
        teid, bytes_ = f"0x{tunnel['teid']:08x}", size(tunnel["inner_bytes"])
        table.add_row(teid, tunnel["destination"], f"{tunnel['packets']:,}", bytes_)
    _more(table, len(tunnels) - TUNNELS_SHOWN)
    return table


def _sessions(sessions: list[dict[str, Any]]) -> str:
    """A line about the sessions that control messages opened."""
    still = sum(session["closed_ns"] is None for session in sessions)
    sims = len({session["imsi"] for session in sessions})
    return (
        f"{len(sessions):,} session{'s' * (len(sessions) != 1)} of {sims:,} SIM{'s' * (sims != 1)} "
        f"followed in GTP-C; {still:,} still open at the end."
    )


def _more(table: Table, count: int) -> None:
    if count > 0:
        table.caption = f"and {count:,} more: --format json, jsonl or csv shows all"
