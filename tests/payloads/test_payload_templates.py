"""Templates that people write: useful ones work, and bombs stop at a bound."""

import json
from dataclasses import replace

import pytest

from wattwire.payloads import FORMATS, RenderError
from wattwire.payloads.examples import ALERT, POWER

KIND = FORMATS["template"]


def render(template, event=ALERT, **settings):
    made = KIND.make(KIND.settings.model_validate({"template": template, **settings}), 5)
    return made.render(event).decode()


def test_what_a_template_knows():
    """Every name that the docs promise is there."""
    names = [
        "topic", "time", "timestamp", "timestamp_ms", "severity", "stream", "device.id",
        "device.number", "device.name", "device.type", "data.temperature", "values.threshold",
        "event_id", "organization_id", "integration_id",
    ]  # fmt: skip
    shown = json.loads(render("[" + ",".join(f"{{{{ {n} | tojson }}}}" for n in names) + "]"))

    assert [
        "device.alert", "2025-10-26T12:00:00Z", 1761480000, 1761480000000, "warning", "",
        "device-123", 17, "Temperature Sensor 1", "sensor", 85.5, 75.0,
    ] == shown[:12]  # fmt: skip
    assert 5 == shown[-1]


def test_a_reading_as_rows():
    """Loops, conditions, entries that are called like methods, and metadata."""
    template = (
        "{% for name, value in data.values.items() if value > 5 %}"
        "{{ device.metadata.site | csv }},{{ name }},{{ value | round(1) }}\n{% endfor %}"
    )
    assert "Plant 2,voltageAN,480.2\nPlant 2,currentA,12.1\nPlant 2,realEnergy,1520.5\n" == render(
        template, POWER, content_type="text/csv"
    )


def test_texts_are_escaped_where_asked():
    """JSON stays JSON whatever a device is called; nothing is escaped behind one's back."""
    event = replace(ALERT, device_name='a "b" <c> \n')

    assert {"n": event.device_name} == json.loads(render('{"n": {{ device.name|tojson }}}', event))
    assert 'a "b" <c>' == render("{{ device.name|trim }}", event)


def test_null_and_truth_are_json():
    """What has no text of its own is written as JSON would."""
    event = replace(ALERT, data={"a": None, "b": True})

    assert "null true" == render("{{ data.a }} {{ data.b }}", event)


def test_a_total_over_a_loop():
    """A namespace carries a value out of a loop."""
    template = (
        "{% set ns = namespace(n=0) %}{% for v in values.values() %}"
        "{% set ns.n = ns.n + v %}{% endfor %}{{ ns.n | round(1) }}"
    )
    assert "2017.0" == render(template, POWER)


@pytest.mark.parametrize(
    ("template", "line", "reason"),
    [
        ("a\n{{ data.nothing }}", 2, "nothing"),
        ("{{ nobody }}", 1, "nobody"),
        ("\n\n{{ 1 / 0 }}", 3, "ZeroDivisionError"),
        ("{{ data }}", 1, "tojson"),
        ("{{ device.name + 1 }}", 1, "for numbers"),
    ],
)
def test_an_error_names_its_line(template, line, reason):
    """What is not there is an error with the line of the template."""
    with pytest.raises(RenderError, match=reason) as caught:
        render(template)
    assert line == caught.value.line


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% if %}", "line 1"),
        ("\n{% for %}", "line 2"),
        ("{{ a | no_such_filter }}", "line 1: No filter named 'no_such_filter'"),
        ("{{ a | attr('x') }}", "No filter"),
        ("{{ a | _steps(0) }}", "No filter named '_steps'"),
        ("{% filter _concat %}a{% endfilter %}", "No filter"),
        ("{{ _budget }}", "begin with _"),
        ("{% set _budget = 1 %}", "begin with _"),
        ("{% macro f() %}{% endmacro %}", "macros"),
        ("{% include 'x' %}", "include"),
        ("{% import 'x' as y %}", "import"),
        ("{% extends 'x' %}", "extends"),
        ("{% block a %}{{ self.a() }}{% endblock %}", "blocks"),
        ("{% for a in b recursive %}{% endfor %}", "recursive"),
        ("{{ 9 ** 9 }}", "powers"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deeply|line 1"),
        ("{% for a in b %}" * 30 + "{% endfor %}" * 30, "nested too deeply"),
        ("{{ 1 }}" * 6000, "at most 5000 parts"),
        ("x" * 65537, "at most 65536"),
        ("ü" * 40000, "65,536 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_template(template, reason):
    """It is refused when it is entered, with the field and the line."""
    with pytest.raises(ValueError, match=reason) as caught:
        KIND.settings.model_validate({"template": template})
    assert ("template",) == caught.value.errors()[0]["loc"]


LOOP = "{% for a in range(1000) %}"
BOMBS = {
    "loops in loops": LOOP * 4 + "{% endfor %}" * 4,
    "a loop that sets": LOOP * 3 + "{% set x = 1 %}" + "{% endfor %}" * 3,
    "much work in a loop": LOOP + "{% set x = " + "+".join("1" * 200) + " %}{% endfor %}",
    "a long range": "{% for a in range(10000000000) %}{% endfor %}",
    "text times number": "{{ 'a' * 1000000000 }}",
    "list times number": "{{ ([1] * 1000000000) | length }}",
    "width of a number": "{{ '%1000000000d' % 1 }}",
    "padding": "{{ 'a'.center(1000000000) }}",
    "format": "{{ '{:1000000000}'.format(1) }}",
    "text that doubles": "{% set ns = namespace(x='aaaa') %}"
    + LOOP + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "text that is added": "{% set ns = namespace(x='aaaa') %}"
    + LOOP + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "text that is joined": "{% set ns = namespace(x='aaaa') %}"
    + LOOP + "{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
    "text that is replaced": "{% set ns = namespace(x='aaaa') %}"
    + LOOP + "{% set ns.x = ns.x | replace('a', 'aaaaaaaaaa') %}{% endfor %}",
    "number that grows": "{% set ns = namespace(x=9) %}"
    + LOOP + "{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "lists in lists": "{% set ns = namespace(x=[1]) %}"
    + LOOP + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
    "tables in tables": "{% set ns = namespace(x=1) %}"
    + LOOP + "{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}{{ ns.x | tojson }}",
    "tuples in tuples": "{% set ns = namespace(x=1) %}"
    + LOOP + "{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ ns.x == ns.x }}",
    "lists that are added": "{% set ns = namespace(x=[1]) %}"
    + LOOP + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "captured text": "{% set ns = namespace(x='aaaa') %}"
    + LOOP + "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "much output": LOOP + "{{ 'a' ~ '" + "a" * 1000 + "' }}{% endfor %}",
    "much plain output": LOOP + "a" * 1000 + "{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("template", BOMBS.values(), ids=BOMBS)
@pytest.mark.timeout(20)
def test_a_bomb_stops(template):
    """Steps, texts, lists and numbers have bounds: the hub goes on, and the error says which."""
    with pytest.raises(
        RenderError, match=r"steps|longer than|more than|too large|at most|for numbers|not safely"
    ):
        render(template)


ESCAPES = {
    "classes": "{{ ''.__class__.__mro__ }}",
    "a class by item": "{{ ''['__class__'] }}",
    "globals of a function": "{{ range.__globals__ }}",
    "the environment": "{{ self._TemplateReference__context.environment }}",
    "an attribute by filter": "{{ [''] | map(attribute='__class__') | list }}",
    "a method of a loop": "{% for a in [1] %}{{ loop._iterator }}{% endfor %}",
    "a namespace's insides": "{{ namespace(a=1).__init__.__globals__ }}",
    "encode": "{{ 'a'.encode() }}",
    "change of a table": "{{ device.metadata.update({'a': 1}) }}",
    "change of a list": "{% set a = [1] %}{{ a.append(2) }}",
}


@pytest.mark.parametrize("template", ESCAPES.values(), ids=ESCAPES)
def test_no_way_out_of_the_sandbox(template):
    """Python's insides, and methods that change or are not listed, are out of reach."""
    with pytest.raises(ValueError):  # a RenderError, or refused when it is entered
        render(template)


def test_a_rendering_leaves_the_next_one_its_budget():
    """What one event used up is there again for the next."""
    kind = KIND.settings.model_validate({"template": LOOP + LOOP[:-1] + "}" + "{% endfor %}" * 2})
    form = KIND.make(kind, 1)
    for _ in range(2):
        with pytest.raises(RenderError, match="steps"):
            form.render(ALERT)
    cheap = KIND.make(KIND.settings.model_validate({"template": LOOP + "a{% endfor %}"}), 1)
    for _ in range(20):
        assert b"a" * 1000 == cheap.render(ALERT)


@pytest.mark.parametrize("content_type", ["text/plain\r\nX: y", "nonsense", ""])
def test_content_types_that_are_none(content_type):
    """Nothing gets into a header that is no content type."""
    with pytest.raises(ValueError, match="content_type"):
        render("a", content_type=content_type)


@pytest.mark.parametrize(
    "call",
    ["'a'.center(4)", "'a'.encode()", "device.metadata.copy()", "'{}'.format(1)", "'a'.zfill(3)"],
)
def test_methods_that_are_not_listed_are_refused(call):
    """Whether they would do harm or not: the list is what is known to be bounded."""
    with pytest.raises(RenderError, match="not safely callable"):
        render(f"{{{{ {call} | length }}}}")


def test_a_list_has_a_bound_of_its_own():
    """Lists in lists count as what they would be when written out."""
    row = "{% set row = range(1000) | list %}"
    assert "9" == render(row + "{{ [" + ",".join(["row"] * 9) + "] | length }}")
    with pytest.raises(RenderError, match="more than 10,000 values"):
        render(row + "{{ [" + ",".join(["row"] * 11) + "] | length }}")
