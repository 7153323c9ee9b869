"""A yardstick is measured once per run, however many rows stand beside it."""

import functools
import traceback

from benchmarks.report import Figure

_KNOWN = {}


def once(measure):
    """Remember the figure by the function and its keyword arguments."""

    @functools.wraps(measure)
    async def measured(options, **chosen):
        key = (measure, tuple(sorted(chosen.items())))
        if key not in _KNOWN:
            _KNOWN[key] = await _measured(measure, options, chosen)
        return _KNOWN[key]

    return measured


async def _measured(measure, options, chosen):
    """A yardstick that breaks must not take the hub's own figure with it."""
    try:
        return await measure(options, **chosen)
    except Exception as error:  # noqa: BLE001 - it becomes a figure that says so
        traceback.print_exc()
        name = f"failed: {measure.__module__.rpartition('.')[2]}"
        return Figure(name, None, "", note=f"{type(error).__name__}: {error}"[:300])
