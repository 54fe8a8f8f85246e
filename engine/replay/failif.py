"""`--fail-if`: a condition on the figures of a report, such as `dropped_bytes > 0`."""

import re
from dataclasses import dataclass
from typing import Any

from engine.errors import UsageError

_FORM = re.compile(
    r"\s*([A-Za-z_]\w*(?:\.\w+)*)\s*(<=|>=|==|!=|<|>)\s*(-?\d+(?:\.\d+)?)\s*", re.ASCII
)
_HELP = "write FIELD OP NUMBER, such as dropped_bytes > 0 or timing.packets_per_s < 1000000"


@dataclass(frozen=True, slots=True)
class Condition:
    """FIELD OP NUMBER. A field is a path in the JSON report; a bare name is one of `totals`.

    A number is compared exactly; a drop reason that did not occur counts as 0.
    """

    text: str
    path: tuple[str, ...]
    operator: str
    bound: int | float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Raises UsageError for anything else than FIELD OP NUMBER."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"--fail-if {text!r}: {_HELP}")
        field, operator, number = match.groups()
        path = tuple(field.split("."))
        bound = float(number) if "." in number else int(number)
        return cls(text.strip(), path if len(path) > 1 else ("totals", *path), operator, bound)

    def value(self, document: dict[str, Any]) -> int | float:
        """The field's value; UsageError where the report has no such number."""
        found: Any = document
        if self.path[0] == "drops":
            found = {"drops": {self.path[1]: {"packets": 0, "bytes": 0}, **document["drops"]}}
        for step in self.path:
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                raise UsageError(
                    f"--fail-if: the report has no field {'.'.join(self.path)}; {_HELP}"
                )
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise UsageError(f"--fail-if: {'.'.join(self.path)} is not a number; {_HELP}")
        return found

    def holds(self, document: dict[str, Any]) -> bool:
        """True if the report meets the condition (and the command is to fail)."""
        value = self.value(document)
        outcomes = {
            "<": value < self.bound,
            "<=": value <= self.bound,
            "==": value == self.bound,
            "!=": value != self.bound,
            ">=": value >= self.bound,
            ">": value > self.bound,
        }
        return outcomes[self.operator]
