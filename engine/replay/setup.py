"""What a replay begins with: its settings, captures, engine, and who is known beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine import config, subscribers
from engine.config import Settings
from engine.errors import UsageError
from engine.pool.store import CouponStore, open_store
from engine.replay.learnt import Learner
from engine.replay.options import Options
from engine.runtime import Engine, store_options
from engine.subscribers import Book, Event, documents, views
from engine.subscribers.account import Account
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.basis import BASES
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.signals import Signals
from engine.wire.sniff import sniff
from engine.wire.source import STDIN

if TYPE_CHECKING:
    from engine.subscribers.table import SubscriberTable


@dataclass(frozen=True, slots=True)
class Given:
    """What the files say that a replay is given."""

    settings: Settings
    book: "Book | SubscriberTable | None"
    events: Sequence[Event]


@dataclass(slots=True)
class Known:
    """Who is known beforehand: from a subscriber file, or from the coupon database's contract book."""

    book: "Book | SubscriberTable | None"
    accounts: list[Account]

    @property
    def nobody(self) -> bool:
        """True if whoever appears in the captures is a SIM."""
        return self.book is None and not self.accounts


def load(options: Options) -> Given:
    """Configuration, subscribers and events; ConfigError."""
    settings = config.load(options.config)
    if options.count is not None:
        settings = replace(settings, count=options.count)
    book = subscribers.load_any(options.subscribers, settings) if options.subscribers else None
    events = subscribers.events.load(options.events, book) if options.events else []
    return Given(settings, book, events)


def open_captures(
    options: Options,
    endpoints: Endpoints,
    settings: Settings,
    *,
    keep: bool = False,
    signals: Signals | None = None,
) -> list[Capture]:
    """Every capture, in the order of the paths, so that the order given cannot matter.

    CaptureError where one cannot be opened; `keep` and `signals` as for Capture.
    """
    paths = sorted(options.captures)
    if paths.count(STDIN) > 1:
        raise UsageError("standard input ('-') is named twice, but can be read only once")
    modes = {"gtp": MODE_GTP, "ip": MODE_IP}
    mode = modes.get(options.encapsulation)
    if mode is None:
        seen = [sniff(path, options.stop, sessions=signals is not None) for path in paths]
        mode = MODE_GTP if MODE_GTP in seen else MODE_IP
    basis = BASES[settings.count]
    return [
        Capture(
            path,
            endpoints,
            mode,
            basis=basis,
            stop=options.stop,
            keep=keep,
            signals=signals,
        )
        for path in paths
    ]


def open_signals(options: Options) -> Signals | None:
    """Where the captures' control messages go; None where they are not wanted."""
    return Signals() if options.sessions == "auto" else None


def learner(
    engine: Engine, options: Options, known: Known, signals: Signals | None, **more: Any
) -> Learner:
    """What stands between the captures and the engine; `more` as for Learner."""
    return Learner(
        engine,
        signals,
        known_only=not known.nobody,
        assumed=known.nobody and not options.ue_nets,
        **more,
    )


def open_engine(
    options: Options, given: Given, endpoints: Endpoints, kind: type[Engine] = Engine
) -> tuple[Engine, Known]:
    """An engine on the coupon database, and who is known beforehand."""
    settings, book = given.settings, given.book
    store = open_store(options.pool, store_options(settings, options.gateway))
    try:
        known = Known(book, [] if book or options.ue_nets else _stored_accounts(store))
        engine = kind(
            settings,
            store,
            ue_nets=options.ue_nets or (settings.ue_nets if known.nobody else ()),
            allow_clock_leap=options.allow_clock_leap,
            endpoints=endpoints,
        )
    except BaseException:
        store.close(clean=True)
        raise
    return engine, known


def begin(engine: Engine, known: Known, events: Sequence[Event], at_ns: int) -> None:
    """Enter who is known, as of `at_ns`, and what is to happen."""
    book = known.book
    if known.accounts:
        book = views.to_book(known.accounts, at_ns, engine.settings)
    if book is not None:
        engine.load(book, at_ns)
    engine.schedule(events, known=book is not None)


def _stored_accounts(store: CouponStore) -> list[Account]:
    """The contract book in a coupon database: all accounts."""
    return [documents.from_json(account.document) for account in store.accounts()]
