"""How the fakes of HTTP services are served: on loopback, on a free port, with TLS if asked."""

import ssl
from contextlib import asynccontextmanager

import trustme
from aiohttp import web


class Authority:
    """A certificate authority of the test's own: what serves, and who trusts it."""

    def __init__(self):
        self._ca = trustme.CA()

    def served(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        return context

    def trusted(self):
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context

    def write_pem(self, path):
        self._ca.cert_pem.write_to_path(path)


@asynccontextmanager
async def serving(app, tls=None):
    """Serve an application; yields its URL."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}"
    finally:
        await runner.cleanup()
