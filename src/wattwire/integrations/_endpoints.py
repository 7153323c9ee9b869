"""Addresses that replace a provider's own: checked before a secret is sent there. Pure."""

from ipaddress import ip_address

from yarl import URL


def check_endpoint(value: str, *, plain: bool = False) -> str:
    """Return an address without the slash at its end. `plain`: nothing secret is sent there.

    Raises ValueError for one that would give credentials away: unencrypted, unless it never leaves
    the machine, or with a password, a query or a fragment in it.
    """
    try:
        url = URL(value.strip())
        port = url.port
    except ValueError as error:
        raise ValueError(f"is not an address: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host or not port:
        raise ValueError("must be an address such as https://example.com")
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise ValueError("must hold no password, no query and no fragment")
    if url.scheme == "http" and not plain and not _is_loopback(url.host):
        raise ValueError("must begin with https://: credentials are sent there")
    return str(url).rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
