"""A CSV file that a kernel reads makes the very table, or the very words, that the loader makes of it."""

from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import config
from engine.errors import ConfigError
from engine.subscribers.table_pack import pack
from tests.support.csvlines import written

SETTINGS = config.load(None)
NEVER = 1 << 62


def outcome(book: Path, rows_at_once: int, large_bytes: int) -> bytes | str:
    """The table that a file makes, or what is wrong with it."""
    table = book.with_suffix(".sims")
    try:
        pack(book, table, SETTINGS, rows_at_once=rows_at_once, large_bytes=large_bytes)
    except ConfigError as error:
        assert not table.exists()
        return str(error)
    made = table.read_bytes()
    table.unlink()
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(seed=st.integers(0, 1 << 32), rows_at_once=st.sampled_from([1, 2, 3, 7, 1000]))
def test_the_kernel_and_the_loader_make_the_same_of_every_file(
    tmp_path: Path, seed: int, rows_at_once: int
) -> None:
    book = tmp_path / "lines.csv"
    book.write_bytes(written(Random(seed)))
    assert outcome(book, rows_at_once, 0) == outcome(book, rows_at_once, NEVER)
