"""What an answer means: tables of decisions."""

import pytest

from wattwire.delivery.verdicts import judge, looks_down, merged
from wattwire.integrations._aws_answers import VERDICTS as AWS
from wattwire.integrations.contract import (
    FAULT,
    HTTP_VERDICTS,
    TIMED_OUT,
    UNREACHABLE,
    ConfigurationError,
    Delivered,
    Rejected,
    Retry,
    Verdict,
)

HTTP = merged(HTTP_VERDICTS, {})


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (301, "retry"), (400, "retry"), (401, "park"), (403, "park"), (404, "retry"),
        (409, "retry"), (410, "disable"), (413, "reject"), (422, "retry"), (429, "throttle"),
        (500, "retry"), (502, "throttle"), (503, "down"), (504, "throttle"),
    ],
)  # fmt: skip
def test_http_answers(status, verdict):
    """The table that every type begins with."""
    assert verdict == judge(Retry("as it says", status=status), HTTP)


@pytest.mark.parametrize("code", [UNREACHABLE, TIMED_OUT])
def test_no_answer_is_an_outage(code):
    """Who does not answer is down: that is no fault of the message."""
    assert Verdict.DOWN is judge(Retry("no answer", code=code), HTTP)


def test_without_a_rule_the_outcome_says_it_itself():
    """Delivered, Retry and Rejected mean what they are called."""
    answers = [Delivered("x", 204), Retry("later"), Rejected("never")]

    assert ["ok", "retry", "reject"] == [judge(answer, HTTP) for answer in answers]


@pytest.mark.parametrize(
    ("changes", "status", "verdict"),
    [
        ({"409": "ok"}, 409, "ok"),
        ({"4xx": "reject"}, 404, "reject"),
        ({"4xx": "reject"}, 401, "park"),  # the special comes before the general
        ({"401": "retry"}, 401, "retry"),
        ({"5xx": "down"}, 500, "down"),
    ],
)
def test_the_user_changes_the_table(changes, status, verdict):
    """What the user says of a status, or of a class of them, holds."""
    assert verdict == judge(Retry("x", status=status), merged(HTTP_VERDICTS, changes))


def test_the_user_may_refuse_a_success():
    """A receiver that says 202 without meaning it can be asked again."""
    table = merged(HTTP_VERDICTS, {"202": "retry"})

    assert "retry" == judge(Delivered("HTTP 202", 202), table)
    assert "ok" == judge(Delivered("HTTP 200", 200), table)


def test_a_word_that_is_no_verdict_is_refused():
    """A slip in the settings is said, not ignored."""
    with pytest.raises(ConfigurationError, match="perhaps"):
        merged(HTTP_VERDICTS, {"409": "perhaps"})


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("AuthorizationError", "park"), ("AccessDenied", "park"),
        ("InvalidClientTokenId", "park"), ("QueueDoesNotExist", "park"),
        ("ThrottlingException", "throttle"), ("RequestThrottled", "throttle"),
        ("ServiceUnavailable", "down"), ("InternalError", "retry"),
    ],
)  # fmt: skip
def test_aws_says_it_by_code(code, verdict):
    """AWS answers 400 to nearly everything: the code decides before the status."""
    assert verdict == judge(Retry("x", status=400, code=code), merged(AWS, {}))


@pytest.mark.parametrize(
    ("outcome", "down"),
    [
        (Retry("x", status=500), True), (Retry("x", status=502), True),
        (Retry("x", status=503), True), (Retry("x", code=UNREACHABLE), True),
        (Retry("x", code=FAULT), True), (Retry("x", status=404), False),
        (Retry("x", status=429), False), (Rejected("x", status=500), False),
        (Delivered("x", 200), False),
    ],
)  # fmt: skip
def test_signs_of_an_outage(outcome, down):
    """No answer and 5xx are; what a working receiver says is not."""
    assert down is looks_down(outcome, judge(outcome, HTTP))
