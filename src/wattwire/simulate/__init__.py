"""Devices that behave like the real ones: smart meters, power monitors, Sparkplug edge nodes."""

from wattwire.simulate.commands import simulate_app

__all__ = ["simulate_app"]
