"""What a row says, and how it is printed and kept."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

ALONE = "a yardstick by itself"


@dataclass(frozen=True)
class Usage:
    """What a process tree used while something was measured."""

    cpu_seconds: float
    seconds: float
    peak_pss_mb: float

    @property
    def cores(self):
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Figure:
    """One measured number and who used what for it."""

    name: str
    value: float | None  #: None: could not be measured, see note
    unit: str
    usage: Usage | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the table: the hub's figure, its floor and aim, and the yardsticks."""

    name: str
    what: str
    figure: Figure
    floor: float | None = None
    aim: float | None = None
    better: str = "more"  #: or "less"
    yardsticks: list[Figure] = field(default_factory=list)
    also: list[Figure] = field(default_factory=list)

    @property
    def verdict(self):
        """Where the figure stands; nothing depends on it."""
        if self.figure.value is None:
            return "not measured"
        if self.floor is None:
            return ""
        sign = 1 if self.better == "more" else -1
        if self.aim is not None and sign * self.figure.value >= sign * self.aim:
            return "aim reached"
        return "floor reached" if sign * self.figure.value >= sign * self.floor else "BELOW FLOOR"


def percentile(values, share):
    """The smallest value that `share` of the values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def number(value, unit=""):
    if value is None:
        return "-"
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def _used(figure):
    if figure.usage is None:
        return ""
    return f"{figure.usage.cores:.2f} cores, {figure.usage.peak_pss_mb:.0f} MB"


def print_row(row):
    """Print a row as soon as it is measured."""
    goal = f"floor {number(row.floor)}, aim {number(row.aim)}" if row.floor is not None else ""
    print(f"\n{row.name}: {row.what}")
    label = "wattwire" if row.what != ALONE else row.name
    lines = [(label, row.figure, f"{goal}  {row.verdict}".strip())]
    lines += [("  " + figure.name, figure, "") for figure in row.also]
    lines += [("beside it: " + figure.name, figure, "") for figure in row.yardsticks]
    for label, figure, goal_text in lines:
        value = number(figure.value, figure.unit)
        print(f"  {label:<44} {value:>18}  {_used(figure):<22} {goal_text} {figure.note}".rstrip())


def write(rows, path, about):
    """Keep all rows as JSON."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"about": about, "rows": [asdict(row) | {"verdict": row.verdict} for row in rows]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
