"""Formats on the way out: what cannot be written stops nothing, and Test suits the format."""

import json

import pytest
from delivery_story import PlainSealer

from wattwire.delivery.trial import send_test
from wattwire.integrations.contract import Delivered


async def try_out(story, integration):
    types = {"scripted": story.receivers.kind()}
    return await send_test(story.pool, integration, PlainSealer(), types)


async def test_an_event_that_cannot_be_written_is_a_dead_letter_with_its_line(story):
    """The others go out; the ledger closes; the reason names the template's line."""
    template = "{{ data.values.n }}\n{% if data.values.n == 1 %}{{ data.nothing }}{% endif %}"
    one = await story.integrate(format="template", format_settings={"template": template})
    bodies = []
    story.receivers["one"].answer = lambda message: bodies.append(message.body) or Delivered("r")
    async with story.working():
        await story.cause(3, one)
        await story.quiet()
    (letter,) = await story.letters(one)
    counters = await story.counters(one)

    assert "line 2: 'dict object' has no attribute 'nothing'" in letter["reason"]
    assert [b"0\n", b"2\n"] == sorted(bodies)
    assert (3, 2, 1) == (counters.matched, counters.delivered, counters.dead)


async def test_settings_that_do_not_fit_are_an_error_of_the_integration(story):
    """Nothing is lost: messages wait until somebody corrects the settings."""
    one = await story.integrate(format="template", format_settings={"template": "{% if"})
    async with story.working():
        await story.cause(3, one)
        await story.quiet()
    state = await story.state(one)

    assert "format_settings.template" in state["reason"]
    assert "line 1" in state["reason"]
    assert 3 == (await story.counters(one)).waiting


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("line_protocol", {"preset": "powermonitor_500"}),
        ("line_protocol", {"fields": {"kW": "somePower"}}),
        ("line_protocol", {}),
        ("connexa", {}),
        ("sparkplug_b", {}),
    ],
)
async def test_the_test_message_suits_the_format(story, form, settings):
    """Whatever the mapping names, the test message has it."""
    one = await story.integrate(format=form, format_settings=settings)
    result = await try_out(story, one)

    assert "delivered" == result.outcome, result.reason
    assert story.receivers["one"].tests[0].body


async def test_a_template_that_test_cannot_fill_is_told(story):
    """The answer names the line, and nothing is sent."""
    one = await story.integrate(
        format="template", format_settings={"template": "a\n{{ data.temperature }}"}
    )
    result = await try_out(story, one)

    assert ("rejected", 0) == (result.outcome, len(story.receivers["one"].tests))
    assert "line 2" in result.reason


async def test_the_integrations_number_is_in_the_body(story):
    """Formats that name the integration know its number."""
    one = await story.integrate(format="solarnetwork")
    await try_out(story, one)

    assert one == json.loads(story.receivers["one"].tests[0].body)["hookId"]
