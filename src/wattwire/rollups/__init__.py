"""Readings added up into hours, local days and calendar months."""
