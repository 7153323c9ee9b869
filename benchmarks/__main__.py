"""`python -m benchmarks`: measure, print, keep.

python -m benchmarks [--quick] [--full] [--only NAME …] [--out FILE] [--list]
"""

import argparse
import asyncio
import platform
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.report import ALONE, Figure, Row, print_row, write
from benchmarks.rows import ROWS
from benchmarks.yardsticks import YARDSTICKS

OUT = Path(__file__).parent / "out" / "results.json"


def parse(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*ROWS, *YARDSTICKS], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="short runs, rough figures")
    parser.add_argument("--full", action="store_true", help="with 100 million stored readings")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results are kept")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    return parser.parse_args(arguments)


def about(options):
    """What the figures were measured on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "python": platform.python_version(),
        "system": platform.platform(),
        "quick": options.quick,
        "load_average_before": psutil.getloadavg()[0],
    }


async def _measure(name, options):
    """Measure one row; what goes wrong becomes its note, and the others are still measured."""
    if name in YARDSTICKS:
        figure = await YARDSTICKS[name](options)
        return Row(name, ALONE, figure)
    try:
        return await ROWS[name](options)
    except Exception as error:  # noqa: BLE001 - a row that fails must not hide the others
        traceback.print_exc()
        note = f"{type(error).__name__}: {error}"[:300]
        return Row(name, ROWS[name].__doc__, Figure("failed", None, "", note=note))


async def run(options):
    facts, rows = about(options), []
    print(f"{facts['cores']} cores, {facts['memory_gib']} GiB, Python {facts['python']}")
    for name in options.only or ROWS:
        started = time.perf_counter()
        row = await _measure(name, options)
        rows.append(row)
        print_row(row)
        print(f"  ({time.perf_counter() - started:.0f} s)", flush=True)
        write(rows, options.out, facts)
    print(f"\nkept in {options.out}")
    figures = [figure for row in rows for figure in (row.figure, *row.yardsticks)]
    return 1 if any(figure.name.startswith("failed") for figure in figures) else 0


def main():
    options = parse()
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:<22} {row.__doc__}")
        for name in YARDSTICKS:
            print(f"{name:<22} {ALONE}")
        return 0
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
