"""The one sandbox of templates: what its rules change, and what holds under all of them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from wattwire.formats import template_filters
from wattwire.formats.templates import Rules, Template, TemplateError

PLAIN, HTML, CODE = Rules(), Rules(html=True), Rules(code=True)
ALL = pytest.mark.parametrize("rules", [PLAIN, HTML, CODE], ids=["plain", "html", "code"])
EVIL = "<b title='x'>\"&</b>"
DATA = {"x": EVIL, "xs": list(range(5000)), "d": {"a": EVIL, "b": None}, "big": "z" * 100_000}


def render(source, rules=PLAIN, **more):
    return Template(source, rules).render({**DATA, **more})


@pytest.mark.parametrize(
    "source",
    [
        "{{ x }}", "{{ x|e }}", "{{ x|escape }}", "{{ x|e|e }}", "{{ x ~ '' }}", "{{ x|trim }}",
        "{{ [x, '']|join }}", "{{ [x|e, '']|join }}", "{{ (x|e) ~ '' }}", "{{ '' ~ (x|e) }}",
        "{{ x|default('') }}", "{{ [x]|first }}", "{{ [x|e]|last }}", "{{ (x|e)|string }}",
        "{{ x if x else '' }}", "{% for y in [x] %}{{ y }}{% endfor %}",
    ],
)  # fmt: skip
def test_what_is_written_into_html_is_escaped_once(source):
    """Whatever way it takes: neither raw nor escaped twice."""
    assert "&lt;b title=&#39;x&#39;&gt;&#34;&amp;&lt;/b&gt;" == render(source, HTML)


@pytest.mark.parametrize(
    "source",
    [
        "{{ x|upper }}", "{{ x|replace('b', 'i') }}", "{{ d|tojson }}", "{{ x|tojson }}",
        "{{ (x|e)|replace('&', '<') }}", "{{ (x|e) ~ x }}", "{{ [x|e, x]|join(x) }}",
        "{{ (d|tojson) ~ x }}", "{{ x[:9] }}", "{{ x|list|join(x) }}", "{{ xs[:2]|join(x) }}",
        "{{ x + x }}", "{{ (x|e) + x }}", "{{ [x]|string }}", "{{ x|urlencode }}", "{{ x|csv }}",
    ],
)  # fmt: skip
def test_nothing_that_is_written_becomes_markup(source):
    """Filters, sums and joins, with and without escaped parts: no tag of the data's own, ever."""
    try:
        text = render(source, HTML)
    except TemplateError:
        return  # text is not added, a list is not written
    assert not set("<>'") & set(text), text


def test_markup_of_the_template_itself_stays():
    """What the author wrote is not escaped; with other rules nothing is."""
    assert "<i>&lt;b" in render("<i>{{ x }}</i>", HTML)
    assert f"<i>{EVIL}</i>" == render("<i>{{ x }}</i>", PLAIN) == render("<i>{{ x }}</i>", CODE)


@pytest.mark.parametrize(
    "source",
    [
        "{% set a = 1 %}", "{% with a = 1 %}{% endwith %}", "{{ {'a': 1} }}", "{{ x.upper() }}",
        "{{ range(3) }}", "{% filter upper %}a{% endfilter %}", "{% set a %}b{% endset %}",
        "{{ namespace(a=1) }}",
    ],
)  # fmt: skip
def test_code_is_for_those_who_have_it(source):
    """Refused when it is read, with its line and its name, unless the rules allow it."""
    with pytest.raises(TemplateError, match="cannot be used here") as refused:
        Template("\n" + source)
    assert 2 == refused.value.line
    Template(source, CODE)


@ALL
@pytest.mark.parametrize(
    "source",
    [
        "{% macro f() %}{% endmacro %}", "{% include 'x' %}", "{{ 2 ** 9 }}", "{{ x|attr('a') }}",
        "{% autoescape false %}{{ x }}{% endautoescape %}", "{{ x|safe }}", "{{ x|_concat }}",
        "{% for a in xs recursive %}{% endfor %}", "{{ _budget }}", "{% import 'a' as b %}",
        "{% block a %}{% endblock %}", "{% raw %}{% endraw %}{% extends 'x' %}", "{{ x",
    ],
)  # fmt: skip
def test_what_nobody_has(source, rules):
    """Whatever has no bound, or leads out, is refused when it is read."""
    with pytest.raises(TemplateError):
        Template(source, rules)


@ALL
@pytest.mark.parametrize(
    "source",
    [
        "{{ x.__class__ }}", "{{ x['__class__'] }}", "{{ xs.append }}", "{{ d.update }}",
        "{{ d.__init__ }}", "{% for a in [1] %}{{ loop._iterator }}{% endfor %}",
        "{{ big.format }}",
        "{% for a in [1] %}{{ loop.__class__ }}{% endfor %}", "{{ xs.a }}", "{{ d['nothing'] }}",
        "{{ 'a' * 1000000000 }}", "{{ '%999999999d' % 1 }}", "{{ xs|join(big) }}",
        "{% for a in xs %}{% for b in xs %}{{ b }}{% endfor %}{% endfor %}", "{{ 1 / 0 }}",
        "{% for a in xs %}{{ big }}{% endfor %}", "{{ x|tojson(indent=99) }}",
        "{% for a in xs %}{{ big[1:]|length }}{% endfor %}", "{{ d }}", "{{ xs }}",
        "{% for a in xs %}{% if xs == xs %}{% endif %}{% endfor %}", "{{ (9|tojson) ~ xs }}",
    ],
)  # fmt: skip
def test_what_no_data_make_possible(source, rules):
    """No insides of Python's, no endless work, no endless text: an error of one line."""
    with pytest.raises(TemplateError) as caught:
        render(source, rules)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_methods_are_the_listed_ones():
    """A key of a table goes before its method; what is not listed is not there."""
    assert "7 items" == render("{{ d.items }} {{ d.keys()|join }}", CODE, d={"items": 7})
    for name in ("xs.append", "x.center", "d.update", "xs.__len__", "x.format"):
        assert "false" == render(f"{{{{ {name} is defined }}}}", CODE), name
    for call in ("x.center(9)", "x.encode()", "d.copy()", "nothing()", "(1)()"):
        with pytest.raises(TemplateError, match=r"callable|undefined"):
            render(f"{{{{ {call} }}}}", CODE)


def test_an_error_names_its_line_and_its_template():
    """`text, line 3: reason`, and each part by itself."""
    with pytest.raises(TemplateError) as caught:
        render("a\n\n{{ nobody }}")
    error = caught.value
    assert (3, "'nobody' is undefined") == (error.line, error.reason)
    assert "line 3: 'nobody' is undefined" == str(error)
    assert "text, line 3: no" == str(TemplateError("no", 3, "text"))
    assert "text: a b" == str(TemplateError("a\n\x1bb", None, "text"))


def test_lengths_are_the_rules():
    """Of the source and of the text; one rendering may be bounded further."""
    with pytest.raises(TemplateError, match="longer than 10 characters"):
        Template("x" * 11, Rules(longest_source=10))
    template = Template("{{ x }}", Rules(longest_text=10))
    assert "x" * 10 == template.render({"x": "x" * 10})
    with pytest.raises(TemplateError, match="longer than 10 characters"):
        template.render({"x": "x" * 11})
    with pytest.raises(TemplateError, match="longer than 5 characters"):
        template.render({"x": "x" * 6}, longest=5)


def test_looking_at_a_large_value_costs_little():
    """`length`, `first` and `default` do not pay for what is inside; what reads it all does."""
    events = [{"values": [("a", 1)] * 50} for _ in range(200)]
    shown = render("{{ es|length }} {{ (es|first)|length }} {{ es|default([])|count }}", es=events)
    assert "200 1 200" == shown
    with pytest.raises(TemplateError, match="more than 10,000 values"):
        render("{{ es|tojson }}", es=events)


def test_the_processors_time_ends_what_costs_too_little(monkeypatch):
    """Behind the steps stands a clock; time that others use up is not counted."""
    template = Template("{{ x|upper }}{% for a in xs %}{{ a }}{% endfor %}")
    monkeypatch.setattr(template_filters, "_SECONDS", -1.0)
    with pytest.raises(TemplateError, match="takes longer than"):
        template.render(DATA)
    monkeypatch.setattr(template_filters, "_SECONDS", 0.5)
    monkeypatch.setattr(time, "monotonic", lambda: pytest.fail("not the clock on the wall"))
    assert template.render(DATA)


def test_many_threads_render_one_template():
    """Each rendering has its own budget: together they take more steps than one may."""
    template = Template("{% for a in xs %}{{ a }}{% endfor %}")
    with ThreadPoolExecutor(8) as pool:
        texts = set(pool.map(lambda _: template.render(DATA), range(40)))

    assert {"".join(map(str, range(5000)))} == texts
