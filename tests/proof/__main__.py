"""Do the worst to the coupon stores, and print one table. Exit status 6 where something does not hold."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from tests.proof.dashboard import Dashboard
from tests.proof.places import Place, PostgresPlace, SqlitePlace, scratch
from tests.proof.rounds import PARTS, STEPS, Round, cycle, planted_rounds
from tests.support.postgres import Cluster, server_folder

DOES_NOT_HOLD = 6
SECONDS = 60


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    result.add_argument("--seconds", type=float, help=f"how long (default {SECONDS})")
    result.add_argument("--rounds", type=int, help="how many cycles, instead of a time")
    result.add_argument("--seed", type=int, default=1, help="of the first cycle (default 1)")
    result.add_argument("--steps", type=int, default=STEPS, help="of a simulation")
    result.add_argument("--store", choices=("sqlite", "postgres", "all"), default="all")
    result.add_argument("--only", choices=PARTS, action="append", help="only these parts")
    result.add_argument("--json", action="store_true", help="print JSON")
    return result


def rounds(places: list[Place], options: argparse.Namespace) -> Iterator[Callable[[], Round]]:
    """So many cycles, with the planted bugs after the first."""
    parts = tuple(options.only or PARTS)
    for number in range(1 << 40 if options.rounds is None else options.rounds):
        yield from cycle(places, options.seed + number, parts, options.steps)
        if not number and "planted" in parts:
            yield from planted_rounds(places, options.seed)


def prove(options: argparse.Namespace) -> Dashboard:
    """All rounds that the options ask for."""
    dashboard = Dashboard(options.seed)
    with ExitStack() as stack:
        places: list[Place] = []
        if options.store != "postgres":
            places.append(SqlitePlace(stack.enter_context(scratch())))
        if options.store == "postgres" or (options.store == "all" and server_folder()):
            places.append(PostgresPlace(stack.enter_context(Cluster())))
        seconds = SECONDS if options.seconds is None else options.seconds
        until = time.monotonic() + seconds
        for do in rounds(places, options):
            dashboard.add(do())
            if options.rounds is None and time.monotonic() > until:
                break
    return dashboard


def main() -> None:
    """Print the table; the exit status says whether everything holds."""
    options = parser().parse_args()
    dashboard = prove(options)
    sys.stdout.write(dashboard.as_json() if options.json else dashboard.as_table())
    sys.exit(0 if dashboard.holds else DOES_NOT_HOLD)


if __name__ == "__main__":
    main()
