"""Which addresses may be reached: what is private stays private, in every spelling."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.integrations._addresses import refusal

PUBLIC = ["93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e"]
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.9.1",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.2.3",
    "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "100::1", "2001::1", "2001:0:53aa:64c::", "2001:db8::1", "3fff::1", "5f00::1",
    "64:ff9b:1::1", "4000::1",
]  # fmt: skip
CARRIERS = [
    "::ffff:{v4}",  # mapped
    "64:ff9b::{v4}",  # NAT64
    "2002:{hex}::1",  # 6to4
    "2606:4700::5efe:{v4}",  # ISATAP
    "2606:4700::200:5efe:{v4}",
]
#: What the C library takes for 127.0.0.1 or 169.254.169.254, and other things that are no address.
SPELLINGS = [
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "017700000001", "127.0.0.01",
    "2852039166", "0xa9fea9fe", "localhost", "", " 127.0.0.1", "127.0.0.1 ", "::ffff:0x7f000001",
    "\uff11\uff12\uff17.0.0.1", "[::1]", "169.254.169.254.",
]  # fmt: skip


def carried(template, v4):
    number = int(ip_address(v4))
    return template.format(v4=v4, hex=f"{number >> 16:x}:{number & 0xFFFF:x}")


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_may_be_reached(host):
    """A receiver on the internet is what webhooks are for."""
    assert "" == refusal(host)


@pytest.mark.parametrize("host", PRIVATE)
def test_special_addresses_may_not(host):
    """Private, loopback, link-local, carrier, metadata, multicast, reserved, documentation."""
    assert "not a public address" in refusal(host)


@pytest.mark.parametrize("template", CARRIERS)
@pytest.mark.parametrize("v4", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
def test_an_address_inside_an_address_is_looked_at(template, v4):
    """IPv6 in front of a private IPv4 address does not hide it."""
    assert refusal(carried(template, v4))


@pytest.mark.parametrize("template", CARRIERS)
def test_a_public_address_inside_an_address_is_fine(template):
    """NAT64 networks could not use webhooks otherwise."""
    assert "" == refusal(carried(template, "93.184.216.34"))


@pytest.mark.parametrize("host", SPELLINGS)
def test_odd_spellings_are_no_addresses(host):
    """They would be read again, by somebody who reads them differently."""
    assert "usual spelling" in refusal(host)


def test_the_operator_may_allow_networks():
    """Exactly those: the neighbour stays closed. A mapped address counts as what it carries."""
    allowed = (ip_network("192.168.7.0/24"), ip_network("fd00:7::/32"))

    assert "" == refusal("192.168.7.20", allowed)
    assert "" == refusal("::ffff:192.168.7.20", allowed)
    assert "" == refusal("fd00:7::1", allowed)
    assert refusal("192.168.8.20", allowed)
    assert refusal("127.0.0.1", allowed)


@given(st.ip_addresses(v=4))
def test_it_agrees_with_the_library_where_that_is_strict(address):
    """Nothing that Python's own list calls private is let through."""
    if address.is_private or address.is_multicast or address.is_reserved:
        assert refusal(str(address))


@given(st.ip_addresses(v=6))
def test_it_agrees_with_the_library_for_version_6(address):
    """The same, for addresses that carry nothing."""
    bare = address.ipv4_mapped is None and address.sixtofour is None
    if bare and (address.is_private or address.is_multicast or address.is_link_local):
        assert refusal(str(address))
