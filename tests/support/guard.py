"""One run of the guard, as its tests share it (tests/regression)."""

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import guard_counts, guard_record, guard_speed
from bench.guard import HISTORY, REFERENCE
from engine import jit


@dataclass
class Run:
    """What its tests share, each found out when a test first asks; `measured`: what they found, by case."""

    measured: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def calibrations(self) -> dict[str, float]:
        """The calibrations beside each other: what kind of machine this is."""
        jit.warm()
        return guard_speed.calibrations()

    @cached_property
    def reference(self) -> guard_record.Reference:
        """What the ratios are held against."""
        given, history = os.environ.get(REFERENCE), os.environ.get(HISTORY)
        if given:
            taken = json.loads(Path(given).read_text())
            return guard_record.Reference(taken["ratios"], taken["said"])
        return guard_record.reference(self.calibrations, Path(history) if history else None)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Calls, allocations and signatures."""
        return guard_counts.counts()

    def leave(self) -> dict[str, Any]:
        """For the history; what no test has asked for is not there."""
        known = vars(self)
        found = {"cases": self.measured}
        found |= {k: known[k] for k in ("calibrations", "counts") if k in known}
        return found | ({"reference": self.reference.said} if "reference" in known else {})


RUN = Run()
