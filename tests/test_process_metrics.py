"""Metrics of several processes that play the same role."""

from wattwire.app.pulse import Pulse
from wattwire.app.status import _of_processes


def test_processes_of_one_role_are_told_apart():
    """Two workers: each figure and each sign of life is there twice, under different labels."""
    figures = {"wattwire_delivery_attempts_total": 3.0, "wattwire_delivery_calls": 1.0}
    living = [Pulse("delivery", owner, ["delivery"], {}, figures) for owner in ("a-1", "b-1")]
    samples = [
        (sample.name, tuple(sample.labels.items()))
        for family in _of_processes(living)
        for sample in family.samples
    ]

    assert 6 == len(samples) == len(set(samples))
    assert {("process", "delivery"), ("owner", "a-1")} == set(samples[0][1])
