"""What the Test button does: one message, really sent, marked as a test."""

from dataclasses import asdict

from wattwire.api.contract import TestResult
from wattwire.app.kit import Kit
from wattwire.app.role_delivery import surroundings_of
from wattwire.delivery.trial import send_test
from wattwire.integrations import TYPES
from wattwire.store.sealing import SEALING


class IntegrationTester:
    """Tests integrations from this process, whoever owns them."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def test(self, integration_id: int) -> TestResult:
        """Send a probe, write its attempt. Raises LookupError when there is no such integration."""
        result = await send_test(
            self._kit.pool,
            integration_id,
            self._kit.sealer.bound(SEALING),
            TYPES,
            surroundings=surroundings_of(self._kit),
        )
        if result is None:
            raise LookupError(integration_id)
        return TestResult(**asdict(result))
