"""`pktoll subscribers pack`: a subscriber file as a binary table."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from engine.cli.pool_database import in_format, quietly, write
from engine.cli.subscribers_actions import configured

SCHEMA = "pktoll.subscribers-pack/1"


@click.command(
    epilog="""
    \b
    Examples:
      pktoll subscribers pack lines.csv -o lines.sims
      pktoll replay s5u.pcap --subscribers lines.sims
    """
)
@click.argument("book")
@click.option(
    "-o", "--output", metavar="TABLE.sims", required=True, help="The table to write, or to replace."
)
@configured
@in_format
@quietly
def pack(book: str, output: str, config: str | None, form: str, quiet: bool) -> None:
    """Pack a subscriber file (BOOK: TOML or CSV) into a binary table.

    A replay opens a table of millions of lines in seconds, and enters a line when its first packet comes.
    In a large CSV file the rows of a contract must stand together.
    """
    from engine import config as configuration
    from engine.cli.pool_tables import show
    from engine.subscribers.table_pack import pack as packed

    settings = configuration.load(config)
    with _progress(book, quiet) as progress:
        made = packed(book, output, settings, progress=progress)
    document = {
        "schema": SCHEMA,
        "file": output,
        "contracts": made.contracts,
        "lines": made.lines,
        "bytes": made.size_bytes,
    }
    words = f"{output}: {made.contracts} contracts, {made.lines} lines, {made.size_bytes} bytes"
    write(document, form, lambda _: show(words), quiet)


@contextmanager
def _progress(book: str, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on standard error, on a terminal only."""
    if quiet or not sys.stderr.isatty() or not Path(book).is_file():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("packing"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("packing", total=Path(book).stat().st_size)
        yield lambda done_bytes: bar.update(task, completed=done_bytes)
