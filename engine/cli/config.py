"""pktoll config: check, explain and show configuration, subscriber and event files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from engine.config import Fault, Settings
    from engine.subscribers import Book

FILE = click.Path(dir_okay=False)
"""whether it is there, and can be read, is for the reader to say: then the exit status is 3"""


@click.group(name="config")
def command() -> None:
    """Check and show configuration files."""


class _Checks:
    """Checks files one after the other; what is wrong is kept for the end."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def text_of(self, name: str) -> str | None:
        """The file's text; None, and a complaint kept, where it cannot be read."""
        from engine.config.document import read_text
        from engine.errors import ConfigError

        try:
            return read_text(name)
        except ConfigError as error:
            self.wrong.append(str(error))
            return None

    def configuration(self, name: str) -> Settings | None:
        """The settings in a file that is fine."""
        from engine import config

        text = self.text_of(name)
        if text is None or not self._fine(name, config.check(text, name)):
            return None
        return config.load(name)

    def subscribers(self, name: str, settings: Settings) -> Book | None:
        """The book in a file that is fine."""
        from engine import subscribers

        text = self.text_of(name)
        if text is None or not self._fine(name, subscribers.check(text, name, settings)):
            return None
        return subscribers.load(name, settings)

    def events(self, name: str, book: Book | None) -> None:
        """Check an event file; with a book, its lines and contracts too."""
        from engine.subscribers import events

        text = self.text_of(name)
        if text is not None:
            self._fine(name, events.check(text, name, book))

    def _fine(self, name: str, faults: list[Fault]) -> bool:
        self.wrong += map(str, faults)
        if not faults:
            click.echo(f"{name}: fine")
        return not faults


@command.command()
@click.argument("files", nargs=-1, type=FILE, metavar="[FILE]...")
@click.option("--subscribers", type=FILE, help="Check a subscriber file (.toml, .csv) too.")
@click.option("--events", type=FILE, help="Check an event file (.jsonl, .toml) too.")
def check(files: tuple[str, ...], subscribers: str | None, events: str | None) -> None:
    """Check configuration files; name every fault with line and column.

    A subscriber file is checked against the plans of the last FILE (without one: the default
    configuration), an event file against the subscriber file. Exit status 3 if anything is wrong.
    """
    from engine import config
    from engine.errors import ConfigError

    if not files and subscribers is None and events is None:
        raise click.UsageError("nothing to check; name a FILE, --subscribers or --events")
    checks = _Checks()
    settings: Settings | None = config.load(None)
    for name in files:
        settings = checks.configuration(name)
    book: Book | None = None
    if subscribers is not None:
        # A broken configuration has no plans to check against; the default ones are the next best.
        book = checks.subscribers(subscribers, settings or config.load(None))
    if events is not None:
        checks.events(events, book)
    if checks.wrong:
        raise ConfigError("\n".join(checks.wrong))


@command.command()
@click.option("--subscribers", is_flag=True, help="The one of subscriber files in TOML instead.")
def schema(subscribers: bool) -> None:
    """Print the JSON Schema of configuration files."""
    if subscribers:
        from engine.subscribers import json_schema
    else:
        from engine.config import json_schema
    _print_json(json_schema())


@command.command()
def example() -> None:
    """Print the default configuration, a commented start for one's own."""
    from engine import config

    click.echo(config.example(), nl=False)


@command.command()
@click.option("--config", "path", type=FILE, help="A configuration file; else the default one.")
def show(path: str | None) -> None:
    """Print the settings in force as JSON, defaults filled in."""
    from engine import config

    _print_json(config.show(config.load(path)))


def _print_json(document: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
