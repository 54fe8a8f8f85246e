"""CSV subscriber files that are packed twice: as large ones, which a kernel reads, and as small ones."""

from pathlib import Path
from typing import Any

import pytest

from engine import config
from engine.errors import ConfigError
from engine.subscribers import loader
from engine.subscribers.table_pack import pack

NEVER = 1 << 62
"""a size from which on no file is large"""
HEAD = "contract,plan,started,line,imsi,addresses,teid_up,teid_down,gateway,coupons,balance_bytes"


def row(number: int, of: int, /, **said: str) -> str:
    """A plain row of a file under HEAD, but for what is said otherwise."""
    fields = {
        "contract": f"hdd{of}",
        "plan": "family-share",
        "started": "2013-11-01",
        "line": f"hdo{number}",
        "imsi": f"44010{number:010}",
        "addresses": f"10.1.{number >> 8}.{number & 255}",
        "teid_up": f"{1000 + number}",
        "teid_down": f"{5000 + number}",
    }
    return ",".join((fields | said).get(column, "") for column in HEAD.split(","))


class Files:
    """CSV files, and the tables that they make."""

    def __init__(self, folder: Path) -> None:
        self.book = folder / "lines.csv"
        self.table = folder / "lines.sims"
        self.settings = config.load(None)
        self.looked_at: list[int] = []
        """rows that the loader was given, each time"""

    def write(self, *rows: str, head: str = HEAD) -> None:
        self.book.write_bytes("".join(f"{line}\n" for line in (head, *rows)).encode())

    def outcome(self, large_bytes: int, **options: Any) -> bytes | str:
        """The table, or what is wrong with the file."""
        try:
            pack(self.book, self.table, self.settings, large_bytes=large_bytes, **options)
        except ConfigError as error:
            return str(error)
        return self.table.read_bytes()

    def same(self, **options: Any) -> bytes | str:
        """The same, of which it is made sure that reading it as a small file says no other."""
        self.looked_at.clear()
        found = self.outcome(0, **options)
        looked_at = self.looked_at[:]
        assert found == self.outcome(NEVER, **options)
        self.looked_at[:] = looked_at
        return found

    @classmethod
    def watched(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> "Files":
        """Files of which it is noted what the loader looks at."""
        made = cls(folder)
        examine = loader.examine

        def counted(text: str, *rest: Any) -> Any:
            made.looked_at.append(text.count("\n") - 1)
            return examine(text, *rest)

        monkeypatch.setattr(loader, "examine", counted)
        return made
