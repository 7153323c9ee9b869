"""Wattwire: readings from electrical devices in, provable deliveries out."""

__version__ = "0.1.0"
