"""The figures of the proof as one table, or as JSON."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.proof.facts import Figures
from tests.proof.rounds import Round

SCHEMA = "pktoll.proof/1"


@dataclass
class Dashboard:
    """Adds rounds up."""

    seed: int
    figures: Figures = field(default_factory=Figures)
    rounds: int = 0
    injected: int = 0
    survived: int = 0
    planted: int = 0
    caught: dict[str, str] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, done: Round) -> None:
        """Count a round; its faults were survived if all of it held."""
        self.rounds += 1
        self.figures.add(done.figures)
        self.injected += done.faults
        self.survived += 0 if done.findings else done.faults
        self.planted += done.planted
        self.caught |= {f"{done.store}: {name}": check for name, check in done.caught.items()}
        for finding in done.findings:
            place = {"part": done.part, "store": done.store, "seed": done.seed}
            self.findings.append(place | {"check": finding.check, "text": finding.text})

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def document(self) -> dict[str, Any]:
        """For programs."""
        figures = self.figures
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "rounds": self.rounds,
            "simulated_s": figures.simulated_s,
            "crashes": figures.crashes,
            "kills": figures.kills,
            "faults_injected": self.injected,
            "faults_survived": self.survived,
            "grants_checked": figures.grants_checked,
            "requests_repeated": figures.repeated_requests,
            "acknowledged_grants_lost": figures.grants_lost,
            "granted_twice_bytes": figures.bytes_twice,
            "conservation_error_bytes": figures.conservation_error_bytes,
            "uncertain_max_bytes": figures.uncertain_max_bytes,
            "uncertain_bound_bytes": figures.uncertain_bound_bytes,
            "audits": figures.audits,
            "audits_clean": figures.audits_clean,
            "planted_bugs": self.planted,
            "planted_bugs_caught": len(self.caught),
            "caught_by": self.caught,
            "faults": dict(sorted(figures.faults.items())),
            "findings": self.findings,
            "holds": self.holds,
        }

    def as_json(self) -> str:
        """The document as text."""
        return json.dumps(self.document(), indent=2) + "\n"

    def rows(self) -> list[tuple[str, str]]:
        """For people."""
        f = self.figures
        return [
            ("seed", str(self.seed)),
            ("rounds", str(self.rounds)),
            ("simulated hours", f"{f.simulated_s / 3600:,.1f}"),
            ("crashes simulated", f"{f.crashes:,}"),
            ("processes killed", f"{f.kills:,}"),
            ("faults survived", f"{self.survived:,} of {self.injected:,}"),
            ("grants checked", f"{f.grants_checked:,}"),
            ("requests repeated", f"{f.repeated_requests:,}"),
            ("acknowledged grants lost", str(f.grants_lost)),
            ("bytes granted twice", str(f.bytes_twice)),
            ("conservation error, bytes", str(f.conservation_error_bytes)),
            (
                "largest uncertain figure",
                f"{f.uncertain_max_bytes:,} of at most {f.uncertain_bound_bytes:,} bytes",
            ),
            ("planted bugs caught", f"{len(self.caught)} of {self.planted}"),
            ("audits clean", f"{f.audits_clean} of {f.audits}"),
        ]

    def as_table(self) -> str:
        """One table, the faults by their numbers below, then what does not hold."""
        rows = self.rows()
        faults = [(name, f"{times:,}") for name, times in sorted(self.figures.faults.items())]
        width = max(len(name) for name, _ in [*rows, *faults])
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        lines += ["", *(f"{name:<{width}}  {value}" for name, value in faults)]
        for finding in self.findings:
            where = "{part} on {store}, seed {seed}: {check}: {text}".format(**finding)
            again = "--only {part} --store {store} --seed {seed} --rounds 1".format(**finding)
            lines += ["", where, f"again: python -m tests.proof {again}"]
        lines += ["", "everything holds" if self.holds else "DOES NOT HOLD"]
        return "\n".join(lines) + "\n"
