"""Which addresses an integration may be aimed at. Pure.

What is refused follows the IANA registries of special-purpose addresses
(https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry),
spelled out here because `ipaddress` judges some of them differently from one Python release to
the next. An IPv6 address that carries an IPv4 address is judged by the one it carries.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_REFUSED_4: Final[dict[IPv4Network, str]] = {
    IPv4Network(network): why
    for network, why in {
        "0.0.0.0/8": "this host",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "shared by carriers",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "cloud metadata",  # Azure's, which is a public address
        "169.254.0.0/16": "link-local, cloud metadata",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved for protocols",
        "192.0.2.0/24": "for documentation",
        "192.31.196.0/24": "AS112",
        "192.52.193.0/24": "AMT",
        "192.88.99.0/24": "6to4 relay",
        "192.168.0.0/16": "private",
        "192.175.48.0/24": "AS112",
        "198.18.0.0/15": "for benchmarks",
        "198.51.100.0/24": "for documentation",
        "203.0.113.0/24": "for documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved, broadcast",
    }.items()
}
#: Nothing outside the global unicast range is reachable for us; these parts of it are not, either.
_GLOBAL_6: Final = IPv6Network("2000::/3")
_REFUSED_6: Final[dict[IPv6Network, str]] = {
    IPv6Network(network): why
    for network, why in {
        "2001::/23": "reserved for protocols, Teredo",
        "2001:db8::/32": "for documentation",
        "2620:4f:8000::/48": "AS112",
        "3fff::/20": "for documentation",
    }.items()
}
_NAT64: Final = (IPv6Network("64:ff9b::/96"),)
_ISATAP: Final = 0x00005EFE
_LAST_32_BITS: Final = (1 << 32) - 1


def refusal(host: str, allowed: Iterable[Network] = ()) -> str:
    """Return why a socket may not be connected to `host`, empty when it may.

    `host` is what the system is about to connect to. Anything that is not an address in its usual
    spelling is refused: 0x7f.1, 2130706433 and names would be resolved again, unseen.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return "is not an IP address in its usual spelling"
    chain = list(_chain(address))
    if any(a in network for a in chain for network in allowed if network.version == a.version):
        return ""
    reasons = [why for why in map(_special, chain) if why]
    return f"is not a public address ({reasons[-1]})" if reasons else ""


def _chain(address: Address) -> Iterator[Address]:
    """Yield the address and what it carries; a carrier that only carries is left out."""
    if isinstance(address, IPv4Address):
        yield address
        return
    plain = IPv6Address(int(address))  # without its zone, which belongs to no network
    carried = _carried(plain)
    if carried is None or _isatap(plain):
        yield plain
    if carried is not None:
        yield carried


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _NAT64) or _isatap(address):
        return IPv4Address(int(address) & _LAST_32_BITS)
    return None


def _isatap(address: IPv6Address) -> bool:
    """RFC 5214: the lower half is 0000:5efe or 0200:5efe, then an IPv4 address."""
    return (int(address) >> 32) & 0xFDFFFFFF == _ISATAP


def _special(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return next((why for net, why in _REFUSED_4.items() if address in net), "")
    if address not in _GLOBAL_6:
        return _named_6(address)
    return next((why for net, why in _REFUSED_6.items() if address in net), "")


def _named_6(address: IPv6Address) -> str:
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    return "private or reserved"
