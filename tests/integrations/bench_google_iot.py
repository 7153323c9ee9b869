"""Google's IoT type against the strict fake of Pub/Sub."""

import pytest
from bench_gcp_pubsub import GOOD_KEY, GOOGLE_REPLIES
from fake_pubsub import EMAIL
from integrations_counterparts import Bench

from wattwire.integrations import TYPES

REGISTRY_TOPIC = "projects/test-project/topics/meters"


@pytest.fixture
def google_iot_bench(pubsub, google_surroundings):
    """The fake, with the topic that is called as the registry."""
    pubsub.topics[REGISTRY_TOPIC] = {EMAIL}
    kind = TYPES["google_iot"]

    def aimed_at(url):
        return kind.settings(
            project_id="test-project",
            region="us-central1",
            registry_id="meters",
            service_account_key=GOOD_KEY.json(client_id="s3cr3t"),
            endpoint_url=url,
        )

    return Bench(
        kind=kind,
        surroundings=google_surroundings,
        settings=aimed_at(pubsub.url),
        received=pubsub.bodies,
        aimed_at=aimed_at,
        replies=GOOGLE_REPLIES,
    )
