"""EtherNet/IP's frames: known bytes, there and back, and any bytes at all."""

import sys
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycomm3.cip.status_info import STATUS
from pycomm3.packets.ethernetip import ListIdentityRequestPacket, ListIdentityResponsePacket

from wattwire.formats import encapsulation
from wattwire.formats.cip import get_attribute_single
from wattwire.formats.encapsulation import Command, Connected, Identity
from wattwire.model import RefusedError

#: The request of assembly 102 as pycomm3 writes it, session 0x11223344, context "hub00001".
REQUEST = bytes.fromhex(
    "6f 00 18 00 44 33 22 11 00 00 00 00 68 75 62 30 30 30 30 31 00 00 00 00"
    "00 00 00 00 0a 00 02 00 00 00 00 00 b2 00 08 00 0e 03 20 04 24 66 30 03"
)
SHORT_ADDRESS = bytes.fromhex("000000000000 0200 a1000200 2704 b1000200 0100")
NO_SEQUENCE = bytes.fromhex("000000000000 0200 a1000400 27041971 b1000100 01")
DEVICE = Identity(1, 0x92, 7, (1, 12), 0x30, 945_000_000, "PowerMonitor 500", 3)
QUICK = settings(max_examples=150, deadline=None)
DECODERS = (
    encapsulation.decode_header,
    encapsulation.decode_registration,
    encapsulation.decode_unconnected,
    encapsulation.decode_connected,
    encapsulation.decode_identity,
    encapsulation.decode_attributes,
)


def test_a_request_is_the_bytes_of_the_contract():
    """SendRRData with Get_Attribute_Single of assembly 102, byte for byte, and back."""
    message = get_attribute_single(4, 102, 3)
    data = encapsulation.encode_unconnected(message, timeout_seconds=10)
    frame = encapsulation.encode_frame(
        Command.SEND_RR_DATA, data, session=0x11223344, context=b"hub00001"
    )

    assert REQUEST == frame
    header = encapsulation.decode_header(REQUEST)
    assert (0x6F, 24, 0x11223344, 0) == (
        *(header.command, header.length, header.session, header.status),
    )
    assert b"hub00001" == header.context
    assert message == encapsulation.decode_unconnected(REQUEST[24:])


def test_a_registration_is_the_bytes_of_the_contract():
    """RegisterSession: version 1 and no options behind a header of zeros."""
    frame = encapsulation.encode_frame(
        Command.REGISTER_SESSION, encapsulation.encode_registration()
    )

    assert bytes.fromhex("65000400" + "00" * 20 + "01000000") == frame
    assert 1 == encapsulation.decode_registration(frame[24:])


def test_a_message_over_a_connection_comes_back():
    """SendUnitData carries the connection, the sequence number and the message."""
    sent = Connected(0x71190427, 65535, b"\x0e\x03 \x04$f0\x03")
    data = encapsulation.encode_connected(sent)

    assert bytes.fromhex("000000000000 0200 a1000400 27041971 b1000a00 ffff") == data[:22]
    assert sent == encapsulation.decode_connected(data)


def test_pycomm3_reads_the_identity():
    """What answers ListIdentity says the same to an independent reader."""
    data = encapsulation.encode_identity(DEVICE, port=44818, address=0x7F000001)
    assert bytes.fromhex("0100 0c00 3200 0100 0002 af12 7f000001") + bytes(8) == data[:24]
    assert 6 + 0x32 == len(data)
    raw = encapsulation.encode_frame(Command.LIST_IDENTITY, data)
    theirs = ListIdentityResponsePacket(ListIdentityRequestPacket(), raw).identity

    assert ("PowerMonitor 500", 7, 3) == (
        *(theirs["product_name"], theirs["product_code"], theirs["state"]),
    )
    assert ("127.0.0.1", f"{945_000_000:08x}") == (theirs["ip_address"], theirs["serial"])
    assert {"major": 1, "minor": 12} == theirs["revision"]


def test_an_identity_comes_back():
    """Identity, with any name that fits; as attributes alone the state is not known."""
    for name in ("", "PowerMonitor 500", "é" * 255):
        device = replace(DEVICE, name=name)
        assert device == encapsulation.decode_identity(encapsulation.encode_identity(device))
        attributes = encapsulation.encode_attributes(device)
        assert replace(device, state=255) == encapsulation.decode_attributes(attributes)


def test_a_name_from_outside_is_printable():
    """Control characters in a product name do not reach a terminal or a log."""
    sent = replace(DEVICE, name="a\x1b[2Jb\n")
    found = encapsulation.decode_identity(encapsulation.encode_identity(sent))

    assert "a?[2Jb?" == found.name


def test_services_say_cip_over_tcp():
    """ListServices: one item of 20 bytes, with the name that the specification gives it."""
    data = encapsulation.encode_services()

    assert bytes.fromhex("0100 0001 1400 0100 2000") == data[:10]
    assert b"Communications\0\0" == data[10:]


@pytest.mark.parametrize(
    ("decode", "data", "reason", "where"),
    [
        (encapsulation.decode_header, REQUEST[:23], "24 bytes, not 23", "header"),
        (encapsulation.decode_header, b"\x6f\0\x01\x10" + bytes(20), "4097 bytes", "header.length"),
        (encapsulation.decode_unconnected, REQUEST[24:-1], "ends early", "items[1]"),
        (encapsulation.decode_unconnected, REQUEST[24:29], "before the items", "data"),
        (encapsulation.decode_unconnected, b"\1" + REQUEST[25:], "interface 1", "data.interface"),
        (encapsulation.decode_unconnected, bytes(6) + b"\x09\0", "9 items", "items"),
        (encapsulation.decode_unconnected, bytes(6) + b"\1\0" + bytes(4), "not 1 items", "items"),
        (encapsulation.decode_connected, REQUEST[24:], "type 0x00A1 is expected", "items[0]"),
        (encapsulation.decode_connected, SHORT_ADDRESS, "4 bytes, not 2", "items[0]"),
        (encapsulation.decode_connected, NO_SEQUENCE, "sequence number is missing", "items[1]"),
        (encapsulation.decode_identity, b"\0\0", "names no device", "items"),
        (encapsulation.decode_identity, b"\1\0\x0c\0\2\0\1\0", "ends early", "items[0]"),
        (encapsulation.decode_registration, b"\1\0", "4 bytes, not 2", "data"),
    ],
)
def test_a_refusal_names_the_place(decode, data, reason, where):
    """What is wrong, and where in the frame."""
    with pytest.raises(RefusedError) as refused:
        decode(data)

    assert where == refused.value.where
    assert reason in refused.value.reason


def test_what_the_caller_gets_wrong_is_a_value_error():
    """A frame that no peer would take is not written."""
    with pytest.raises(ValueError, match="at most 4096"):
        encapsulation.encode_frame(0x6F, bytes(4097))
    with pytest.raises(ValueError, match="8 bytes, not 3"):
        encapsulation.encode_frame(0x6F, context=b"abc")


def test_every_status_has_words():
    """All statuses that pycomm3 knows have their words here, others are shown as a number."""
    assert set(STATUS) <= set(encapsulation.ENCAPSULATION_STATUS)
    assert "invalid session handle (0x64)" == encapsulation.status_text(0x64)
    assert "unknown status (0x1234)" == encapsulation.status_text(0x1234)


@pytest.mark.parametrize("decode", DECODERS)
@QUICK
@given(data=st.data())
def test_any_bytes_are_understood_or_refused(decode, data):
    """No bytes, alone or in the place of others in a message, cause another exception."""
    noise = data.draw(st.binary(max_size=60))
    valid = data.draw(
        st.sampled_from(
            [REQUEST, REQUEST[24:], encapsulation.encode_identity(DEVICE), b"\1\0\0\0", b""]
        )
    )
    at = data.draw(st.integers(0, len(valid)))
    with suppress(RefusedError):
        decode(valid[:at] + noise + valid[at + len(noise) :])


@pytest.mark.parametrize("decode", DECODERS)
def test_a_mebibyte_takes_no_more_work_than_a_kilobyte(decode):
    """However many bytes claim to follow, at most eight items are looked at."""

    def calls(raw):
        count = 0

        def note(_frame, event, _arg):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            with suppress(RefusedError):
                decode(raw)
        finally:
            sys.setprofile(None)
        return count

    for start in (b"", b"\xff\xff", bytes(6) + b"\xff\xff", bytes(6) + b"\x08\0"):
        for unit in (b"\0\0\0\0", b"\xff", b"\1\0\1\0\1"):  # items of no bytes, of too many, of one
            assert calls(start + unit * 2**18) <= calls(start + unit * 2**9) + 20
