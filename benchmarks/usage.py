"""CPU time and memory of a process and all its descendants."""

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.report import Usage

MEGABYTE = 1024 * 1024


def tree(pid):
    """The process and its descendants, those that live at this moment."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(processes):
    """User and system time by process."""
    times = {}
    for process in processes:
        try:
            spent = process.cpu_times()
        except psutil.Error:
            continue
        times[process.pid, process.create_time()] = spent.user + spent.system
    return times


def pss_mb(processes):
    """Proportional set size of all together: shared pages are counted once."""
    return sum(_pss(process.pid) for process in processes) / MEGABYTE


def _pss(pid):
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return psutil.Process(pid).memory_info().rss if not Path("/proc").exists() else 0
    except psutil.Error:
        return 0


class Meter:
    """Samples a tree once a second while the context lasts."""

    def __init__(self, pid):
        self._pid = pid
        self._first = cpu_seconds(tree(pid))
        self._last = dict(self._first)
        self._started = time.perf_counter()
        self._peak = 0.0

    def sample(self):
        processes = tree(self._pid)
        self._last.update(cpu_seconds(processes))
        self._peak = max(self._peak, pss_mb(processes))

    def usage(self):
        """What was used since the start until now."""
        self.sample()
        spent = sum(self._last.values()) - sum(self._first.values())
        return Usage(round(spent, 3), round(time.perf_counter() - self._started, 3), self._peak)

    async def run(self):
        while True:
            self.sample()
            await asyncio.sleep(1)


@asynccontextmanager
async def metered(pid):
    """Yield a meter; ask it for `usage()` inside or after the context."""
    meter = Meter(pid)
    sampling = asyncio.create_task(meter.run())
    try:
        yield meter
    finally:
        sampling.cancel()
