"""What a mail says: texts, headers, digests, templates; and which settings can work."""

from datetime import UTC, datetime
from email.headerregistry import Address

import pytest
from email_letters import KIND, message, sent
from integrations_counterparts import Reply
from pydantic import ValidationError
from smtp_counterparts import (
    SmtpReply,
)

from wattwire.formats import template_filters
from wattwire.formats.templates import Template, TemplateError
from wattwire.integrations._mail import (
    Attachment,
    HeaderError,
    Letterhead,
    checked_address,
    compose,
)
from wattwire.integrations._mail_texts import Writer
from wattwire.integrations.contract import (
    UNREACHABLE,
    Delivered,
    Rejected,
)
from wattwire.integrations.email import connect, preview
from wattwire.model import Message

# --- what a mail says ---


async def test_a_mail_has_text_and_html(mail_server, mail_settings, trusting):
    """multipart/alternative, the plain text first; both tell the same."""
    await sent(mail_settings(), trusting, message())
    [taken] = mail_server.handler.taken
    mail = taken.mail

    assert "multipart/alternative" == mail.get_content_type()
    assert ["text/plain", "text/html"] == [p.get_content_type() for p in mail.iter_parts()]
    for told in ("Pump 3 (pump-3)", "north", "/temperature", "2025-06-01 12:30:01 UTC", "85.5 °C"):
        assert told in taken.text()
        assert told in taken.text("html")
    assert "🟡 Alert: too hot, Pump 3" == mail["Subject"]
    assert ("hub@example.com", ["ops@example.com"]) == (taken.sender, taken.recipients)


async def test_headers_that_machines_read(mail_server, mail_settings, trusting):
    """No answering machine answers, a repeat is recognised, a click unsubscribes."""
    settings = mail_settings(unsubscribe="https://hub.example.com/u?t=1", reply_to="it@example.com")
    for _ in range(2):
        await sent(settings, trusting, message())
    first, second = (taken.mail for taken in mail_server.handler.taken)

    assert "<m-1@example.com>" == first["Message-ID"] == second["Message-ID"]
    assert ("auto-generated", "it@example.com") == (first["Auto-Submitted"], first["Reply-To"])
    assert "<https://hub.example.com/u?t=1>" == first["List-Unsubscribe"]
    assert "List-Unsubscribe=One-Click" == first["List-Unsubscribe-Post"]
    assert first["Date"] is not None


async def test_nobody_unsubscribes_from_what_is_critical(mail_server, mail_settings, trusting):
    """A critical mail is marked as urgent instead; a mailto: is never one-click."""
    settings = mail_settings(unsubscribe="mailto:ops@example.com?subject=stop")
    await sent(settings, trusting, message(1, severity="critical"), message(2))
    urgent, plain = (taken.mail for taken in mail_server.handler.taken)

    assert (None, "high") == (urgent["List-Unsubscribe"], urgent["Importance"])
    assert "<mailto:ops@example.com?subject=stop>" == plain["List-Unsubscribe"]
    assert plain["List-Unsubscribe-Post"] is None


@pytest.mark.parametrize(
    "evil",
    [
        "Pump\r\nBcc: thief@evil.example",
        "Pump\nX: y\n\nbody",
        "Pump\r\n.\r\nMAIL FROM:<a@b>",
        "Pump\u2028Bcc: thief@evil.example",
        "Pump\0\x0b\x0c\x85Bcc: x@evil.example",
        "=?utf-8?q?Pump=0D=0ABcc:_thief@evil.example?=",
    ],
)
async def test_a_device_cannot_write_headers(mail_server, mail_settings, trusting, evil):
    """Line breaks in names become spaces: no header, no recipient and no command of theirs."""
    told = message(1, device_name=evil, topic=evil, data={"message": evil, evil: evil})
    outcomes = await sent(mail_settings(), trusting, told)
    [taken] = mail_server.handler.taken

    assert isinstance(outcomes["m-1"], Delivered)
    assert ["ops@example.com"] == taken.recipients
    assert (None, None) == (taken.mail["Bcc"], taken.mail["X"])
    assert 2 == len(list(taken.mail.iter_parts()))


def test_a_mail_with_headers_that_nobody_set_is_not_sent(mail_settings):
    """The last line of defence: the headers of the finished mail are those that were set."""
    strange = Letterhead(Address("=?utf-8?q?Hub=0D=0ABcc:_a@b?=", addr_spec="a@example.com"), [])
    written = preview(mail_settings(), [message()])

    with pytest.raises(HeaderError):
        compose(strange, written, [message()], datetime.now(UTC))


async def test_html_is_escaped(mail_server, mail_settings, trusting):
    """What a device calls itself is text, never markup."""
    await sent(mail_settings(), trusting, message(1, device_name="<script>alert(1)</script>"))
    [taken] = mail_server.handler.taken

    assert "<script>" in taken.text()
    assert "<script>" not in taken.text("html")
    assert "&lt;script&gt;" in taken.text("html")


async def test_dots_and_long_lines_survive(mail_server, mail_settings, trusting):
    """A line of one dot does not end the mail; no line on the wire is longer than allowed."""
    text = "first\n.\n..\n.dot\n" + "x" * 5000
    await sent(mail_settings(templates={"text": text}), trusting, message())
    [taken] = mail_server.handler.taken

    assert text == taken.text().replace("\r\n", "\n").rstrip("\n")
    assert max(map(len, taken.content.split(b"\r\n"))) <= 998
    assert taken.content.isascii()


async def test_mails_of_an_alert_form_a_thread(mail_server, mail_settings, trusting):
    """The alert and its end answer the same mail; a strange id cannot break the header."""
    first = message(1, data={"alert_id": 17})
    end = message(2, topic="device.alert.resolved", data={"alert_id": 17})
    strange = message(3, data={"alert_id": "x>\r\nBcc: a@b"})
    for one in (first, end, strange):
        await sent(mail_settings(), trusting, one)
    mails = [taken.mail for taken in mail_server.handler.taken]

    assert {"<alert-17@example.com>"} == {m["References"] for m in mails[:2]}
    assert mails[2]["References"] not in {None, mails[0]["References"]}
    assert mails[2]["Bcc"] is None


async def test_events_and_files_are_attached(mail_server, mail_settings, trusting):
    """Events as they are, byte by byte; a report is passed in; a path in a name is none."""
    report = Attachment(
        "../../May\r\n=?utf-8?q?=0D=0AX:_y?= report.csv", "text/csv", b"a,b\r\n1,2\r\n"
    )
    async with connect(mail_settings(attach="events"), trusting) as integration:
        await integration.send([message(1)], [report])
    [taken] = mail_server.handler.taken
    parts = list(taken.mail.iter_attachments())

    assert ["..-..-May = ?utf-8?q?=0D=0AX:_y?= report.csv", "m-1.json"] == [
        part.get_filename() for part in parts
    ]
    assert ["text/csv", "application/json"] == [part.get_content_type() for part in parts]
    assert b"a,b\r\n1,2\r\n" == parts[0].get_payload(decode=True)
    assert b'{"n": 1}' == parts[1].get_payload(decode=True)


# --- digests ---


async def test_many_events_are_one_mail(mail_server, mail_settings, trusting):
    """The digest lists them, the worst first; each message is delivered by it."""
    batch = [message(n, severity="info") for n in range(1, 6)] + [message(9, severity="error")]
    outcomes = await sent(mail_settings(), trusting, *batch)
    [taken] = mail_server.handler.taken

    assert {f"m-{n}" for n in (1, 2, 3, 4, 5, 9)} == outcomes.keys()
    assert "🟠 6 events from 1 device: 1 error, 5 info" == taken.mail["Subject"]
    assert 6 == taken.text().count("Alert: too hot, Pump 3:")
    assert taken.text().index("Error") < taken.text().index("Info")


async def test_what_is_critical_is_never_folded(mail_server, mail_settings, trusting):
    """Two critical events among others: a mail each, first, and a digest of the rest."""
    batch = [message(n, severity="critical" if n in {2, 4} else "info") for n in range(1, 6)]
    outcomes = await sent(mail_settings(), trusting, *batch)
    subjects = [str(taken.mail["Subject"]) for taken in mail_server.handler.taken]

    assert 5 == len(outcomes)
    assert ["🔴", "🔴", "🔵"] == [subject[0] for subject in subjects]
    assert "3 events" in subjects[2]


async def test_data_cannot_make_itself_critical(mail_server, mail_settings, trusting):
    """Only what the hub calls critical is: a device's word would let it send mail by mail."""
    batch = [message(n, severity="info", data={"severity": "critical"}) for n in (1, 2)]
    await sent(mail_settings(), trusting, *batch)

    assert 1 == len(mail_server.handler.taken)


async def test_a_repeated_digest_is_recognised(mail_server, mail_settings, trusting):
    """The same messages in another order have the same Message-ID; others have another."""
    for numbers in ((1, 2), (2, 1), (1, 3)):
        await sent(mail_settings(), trusting, *map(message, numbers))
    ids = [taken.mail["Message-ID"] for taken in mail_server.handler.taken]

    assert ids[0] == ids[1] != ids[2]


async def test_a_large_digest_says_what_it_leaves_out(mail_server, mail_settings, trusting):
    """As many as a call carries: 200 are listed, the others counted."""
    count = KIND.limits.max_messages
    outcomes = await sent(mail_settings(), trusting, *map(message, range(count)))
    [taken] = mail_server.handler.taken

    assert count == len(outcomes)
    assert "... and 300 more." in taken.text()
    assert "500 x Alert" in taken.text()
    assert 200 == taken.text().count("Alert: too hot, Pump 3:")


async def test_a_refusal_of_everything_ends_the_call(bench_faults, trusting):
    """After a wrong password nothing else is tried: all messages have the same outcome."""
    faults, settings = bench_faults
    faults.reply = SmtpReply("auth", "535 5.7.8 no")
    async with faults.serving() as url:
        outcomes = await sent(
            settings(url), trusting, message(1, severity="critical"), message(2), message(3)
        )

    assert {"535"} == {outcome.code for outcome in outcomes.values()}
    assert (3, 1) == (len(outcomes), len(faults.requests))


async def test_what_was_sent_stays_sent(bench_faults, trusting):
    """A critical mail that went out is delivered, although the digest after it is cut off."""
    faults, settings = bench_faults
    replies = iter([SmtpReply(), Reply(cut=True)])
    faults.reply = lambda mail: next(replies)
    async with faults.serving() as url:
        outcomes = await sent(settings(url), trusting, message(1, severity="critical"), message(2))

    assert isinstance(outcomes["m-1"], Delivered)
    assert UNREACHABLE == outcomes["m-2"].code


# --- settings ---


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ops@example.com", "ops@example.com"),
        (" Ops.Team+x@Example.COM ", "Ops.Team+x@example.com"),
        ("ops@zähler.example", "ops@xn--zhler-gra.example"),
        ("ops@電力.example", "ops@xn--tfr140n.example"),
        ("ops@mailhost", "ops@mailhost"),
    ],
)
def test_addresses(given, expected):
    """A domain in any script becomes the one that is looked up."""
    assert expected == checked_address(given)


@pytest.mark.parametrize(
    "given",
    [
        "ops", "@example.com", "ops@", "a@b@example.com", "a b@example.com", "<ops@example.com>",
        "ops@example.com\r\nBcc: x@y", "ops@exa mple.com", "ops@-a.com", "zähler@example.com",
        "a" * 65 + "@example.com", "ops@" + "a" * 64 + ".com", ".a@example.com", "a..b@example.com",
        "Ops <ops@example.com>", "ops@example.com,x@example.com", '"a b"@example.com', "ops@[::1]",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(given, mail_settings):
    """Whatever a server might read in two ways is refused on the form, with a reason."""
    with pytest.raises(ValidationError, match=r"to\.0"):
        mail_settings(to=[given])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"password": None}, "belong together"),
        ({"port": 25}, "over TLS only"),
        ({"tls": "none"}, "over TLS only"),
        ({"to": []}, "at least 1"),
        ({"to": [f"a{n}@example.com" for n in range(51)]}, "at most 50"),
        ({"unsubscribe": "javascript:alert(1)"}, "mailto: or https"),
        ({"unsubscribe": "https://x.example/>\r\nBcc: a@b"}, "mailto: or https"),
        ({"from_name": "Hub\r\nBcc: a@b"}, "one line"),
        ({"from_name": "=?utf-8?q?Hub=0D=0ABcc:_a@b?="}, "one line"),
        ({"ca_certificate": "no PEM"}, "ca_certificate"),
        ({"templates": {"text": "{% for %}"}}, "templates.text"),
        ({"templates": {"html": "{{ ''.__class__.mro() }}"}}, "cannot be used here"),
        ({"host": "mail\r\nRSET"}, "host"),
    ],
)
def test_settings_that_cannot_work(mail_settings, given, why):
    """What can be seen without the network is refused on the form."""
    with pytest.raises(ValidationError, match=why):
        mail_settings(**given)


@pytest.mark.parametrize(
    ("port", "tls", "expected"),
    [(25, None, "none"), (465, None, "tls"), (587, None, "starttls"), (2525, None, "starttls"),
     (25, "starttls", "starttls"), (587, "tls", "tls")],
)  # fmt: skip
def test_the_port_tells_the_encryption(mail_settings, port, tls, expected):
    """Unless it is said."""
    user = {} if expected != "none" else {"username": None, "password": None}

    assert expected == mail_settings(port=port, tls=tls, **user).security


# --- templates ---


def test_a_preview_says_what_a_mail_would(mail_settings):
    """Subject on one line, text and HTML; one event or many."""
    settings = mail_settings(
        templates={
            "subject": "{{ event.device }}\n!",
            "text": "{{ data.temperature_celsius }} > 75",
        }
    )
    one, many = preview(settings, [message()]), preview(settings, [message(1), message(2)])

    assert ("Pump 3 (pump-3) !", "85.5 > 75") == (one.subject, one.text)
    assert "<h2" in one.html
    assert "2 events from 1 device: 2 warning" in many.subject


async def test_a_template_that_fails_makes_a_dead_letter(mail_server, mail_settings, trusting):
    """A name that does not exist is told, and no half mail is sent."""
    settings = mail_settings(templates={"text": "{{ data.pressure }}"})
    outcome = (await sent(settings, trusting, message()))["m-1"]

    assert (Rejected, "template") == (type(outcome), outcome.code)
    assert "pressure" in outcome.reason
    assert [] == mail_server.handler.taken


DATA = {"x": "abc", "xs": list(range(5000)), "big": "z" * 100_000, "d": {"values": {"items": 7}}}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ d.values.items }}", "7"),
        ("{% for n in xs[:3] %}{{ loop.index }}{{ n }} {% endfor %}", "10 21 32 "),
        ("{{ xs[:3]|join('; ') }} {{ x|upper }} {{ 2 * 3 + 1 }} {{ 1.256|round(1) }}",
         "0; 1; 2 ABC 7 1.3"),
        ("{% if x == 'abc' and not d.other is defined %}yes{% endif %}", "yes"),
        ("{{ d|tojson }} {{ x|replace('a', 'b') }}", '{"values":{"items":7}} bbc'),
    ],
)  # fmt: skip
def test_what_templates_can_do(source, text):
    """Data, conditions, loops, filters; a key of the data is never a method of Python's."""
    assert text == Template(source).render(DATA)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}", "{{ x.upper() }}", "{{ x.upper }}", "{% set a = 1 %}", "{{ x|safe }}",
        "{{ 'a' * 1000000000 }}", "{{ '%999999999d' % 1 }}", "{{ '%9d'|format(1) }}",
        "{% include 'x' %}", "{% macro f() %}{% endmacro %}", "{{ range(10) }}", "{{ 2 ** 99 }}",
        "{{ x|attr('__class__') }}", "{{ missing }}", "{{ 1 / 0 }}", "{{ " + "(" * 9000 + " }}",
        "{% for a in xs %}{% for b in xs %}{% for c in xs %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in xs %}{{ big }}{% endfor %}", "{{ xs|join(big) }}",
        "{{ big|replace('', big) }}",
        "{{ big|list|string|list|string|list|string|length }}", "{{ x|tojson(indent=99999999) }}",
        "{{ x|truncate(5, true, big) }}", "{{ (" + " ~ ".join(["big"] * 60) + ")|length }}",
        "{% for a in xs recursive %}{{ a }}{% endfor %}", "{{ x|nothing }}", "{{ x",
        "{{ 9|round(99999999, 'ceil') }}", "x" * 50_001,
    ],
    ids=lambda source: source[:40],
)  # fmt: skip
def test_what_templates_cannot_do(source):
    """No way out, no way to fill the memory, no way to take long: an error of one line."""
    with pytest.raises(TemplateError) as caught:
        Template(source).render(DATA)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_filters_look_at_the_clock_and_at_the_size(monkeypatch):
    """Also without a loop; what would be too long is not even made."""
    budget = template_filters.Budget(10**9)
    with pytest.raises(template_filters.TooMuchError, match="longer than 262,144"):
        template_filters.FILTERS["join"](budget, range(100), "z" * 100_000)
    template = Template("{{ x|upper }}")
    monkeypatch.setattr(template_filters, "_SECONDS", -1.0)
    with pytest.raises(TemplateError, match="takes longer"):
        template.render(DATA)


def test_the_built_in_texts_suit_every_event():
    """Events of no device, with nothing in them, or of a kind that nobody knows."""
    bare = Message("m-9", b"\xff", topic="x", device="d")
    strange = message(1, device_key="", device_name="", stream="", data={}, metadata={},
                      topic="no.such", severity="dreadful")  # fmt: skip
    deep = message(
        2, data={"a": {"b": {"c": {"d": [1, {"e": None}]}}}, "n": float("nan"), "t": True}
    )
    settings = KIND.settings(host="h.example", from_address="a@example.com", to=["b@example.com"])

    for batch in ([bare], [strange], [deep], [bare, strange, deep]):
        written = preview(settings, batch)
        assert written.subject
        assert written.text
        assert "{{" not in written.text + written.html


def test_a_subject_of_the_whole_world_is_encoded(mail_settings):
    """And is not longer than a mailbox shows."""
    written = Writer(mail_settings().templates).write([message(1, device_name="電力量計 ⚡" * 50)])

    assert len(written.subject) <= 200
    assert "電力量計 ⚡" in written.subject


def test_the_ledger_tells_where_it_goes(mail_settings):
    """Server and recipients, no password."""
    shown = KIND.address(mail_settings())

    assert shown.startswith("smtp://127.0.0.1:")
    assert shown.endswith("/ops@example.com")


def test_the_presets_are_the_seeds(mail_settings):
    """10 mails a minute, 5 connections, 10 MB; folded, not fallen behind."""
    presets = KIND.presets

    assert (10, 5, 10 * 1024 * 1024) == (
        presets.rate_per_minute, presets.max_concurrent, presets.max_payload_bytes,
    )  # fmt: skip
    assert KIND.folds
