"""CIP's requests and answers: known bytes, there and back, and any bytes at all."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycomm3.cip.status_info import SERVICE_STATUS

from wattwire.formats import cip
from wattwire.formats.cip import Request, Response
from wattwire.model import RefusedError

QUICK = settings(max_examples=200, deadline=None)
NUMBERS = st.integers(0, 0xFFFF)
REQUESTS = st.builds(
    Request, st.integers(0, 0x7F), NUMBERS, NUMBERS, st.none() | NUMBERS, st.binary(max_size=40)
)
RESPONSES = st.builds(
    Response,
    st.integers(0, 0x7F),
    st.integers(0, 0xFF),
    st.lists(NUMBERS, max_size=5).map(tuple),
    st.binary(max_size=40),
)


def test_get_attribute_single_is_the_bytes_of_the_contract():
    """Class 4, instance 102, attribute 3."""
    assert bytes.fromhex("0E 03 20 04 24 66 30 03") == cip.get_attribute_single(4, 102, 3)


def test_large_numbers_take_sixteen_bits():
    """Instance 844 of the PowerMonitor 5000 is a segment 25, padded."""
    request = cip.get_attribute_single(4, 844, 3)

    assert bytes.fromhex("0E 04 20 04 25 00 4C 03 30 03") == request
    assert Request(0x0E, 4, 844, 3) == cip.decode_request(request)


def test_an_answer_is_read_as_the_contract_has_it():
    """Service with its highest bit, a reserved byte, status, words of extended status, data."""
    assert Response(0x0E, 0, (), b"ab") == cip.decode_response(b"\x8e\0\0\0ab")
    failed = Response(0x54, 1, (0x0113,), b"")
    assert failed == cip.decode_response(b"\xd4\0\1\1\x13\1")


@QUICK
@given(REQUESTS)
def test_requests_come_back(request):
    """Any request, with numbers of 8 and 16 bits, is read as it was written."""
    assert request == cip.decode_request(cip.encode_request(request))


@QUICK
@given(RESPONSES)
def test_responses_come_back(response):
    """Any answer, with any extended status, is read as it was written."""
    assert response == cip.decode_response(cip.encode_response(response))


@pytest.mark.parametrize(
    ("message", "reason", "where"),
    [
        (b"\x0e", "before its path", "request"),
        (b"\x8e\x01\x20\x04", "an answer (0x8E)", "request.service"),
        (b"\x0e\x03\x20\x04", "middle of its path", "request.path"),
        (b"\x0e\x01\x24\x04", "no class", "request.path"),
        (b"\x0e\x02\x20\x04\x91\x01", "segment 0x91", "path[2]"),
        (b"\x0e\x02\x20\x04\x20\x04", "the class twice", "path[2]"),
        (b"\x0e\x02\x20\x04\x25\x00", "middle of a segment", "path[2]"),
    ],
)
def test_a_refused_request_names_the_place(message, reason, where):
    """What is wrong with a request, and where in it."""
    with pytest.raises(RefusedError) as refused:
        cip.decode_request(message)

    assert (where, True) == (refused.value.where, reason in refused.value.reason)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x8e\0\0", "before its status"),
        (b"\x0e\0\0\0", "not an answer"),
        (b"\x8e\0\1\2\0\0", "middle of its extended status"),
    ],
)
def test_a_refused_answer_has_its_reason(message, reason):
    """What is wrong with an answer."""
    with pytest.raises(RefusedError, match=reason):
        cip.decode_response(message)


@QUICK
@given(st.binary(max_size=600))
def test_any_bytes_are_understood_or_refused(message):
    """No bytes cause another exception than a refusal, read either way."""
    for decode in (cip.decode_request, cip.decode_response):
        with suppress(RefusedError):
            decode(message)


@pytest.mark.parametrize(
    "request_",
    [Request(0x80, 4, 1), Request(14, 65536, 1), Request(14, 4, -1), Request(14, 4, 1, 1 << 16)],
)
def test_what_the_caller_gets_wrong_is_a_value_error(request_):
    """Numbers that have no place in a request are not written."""
    with pytest.raises(ValueError, match="number from 0"):
        cip.encode_request(request_)


def test_every_status_has_words():
    """All codes that pycomm3 knows have their words; unknown ones and extended ones are shown."""
    assert set(SERVICE_STATUS) <= set(cip.GENERAL_STATUS)
    assert "path destination unknown (0x05)" == cip.status_text(5)
    assert "connection failure (0x01): no more connections (0x0113)" == cip.status_text(1, (0x113,))
    assert "general error (0xFF): 0x2105" == cip.status_text(255, (0x2105,))
    assert "unknown status (0x77)" == cip.status_text(0x77)
