"""Who may do what: one line per operation. A route without a line here does not start."""

from enum import IntEnum
from typing import Final


class Role(IntEnum):
    """Each role may do what the one below it may."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3

    @classmethod
    def named(cls, name: str) -> "Role":
        """Return the role of this name, as the store has it."""
        return cls[name.upper()]


#: Operations that anybody may call: they show nothing of an organization.
OPEN: Final = frozenset(
    {"create_session", "get_health", "get_readiness", "get_metrics", "get_docs"}
)

_V, _E, _O = Role.VIEWER, Role.EDITOR, Role.OWNER

NEEDED: Final[dict[str, Role]] = {
    "get_session": _V,
    "delete_session": _V,
    "get_organization": _V,
    "update_organization": _O,
    "list_users": _O,
    "create_user": _O,
    "get_user": _O,
    "update_user": _O,
    "delete_user": _O,
    "list_tokens": _O,
    "create_token": _O,
    "get_token": _O,
    "revoke_token": _O,
    "list_solarnetwork_tokens": _O,
    "create_solarnetwork_token": _O,
    "get_solarnetwork_token": _O,
    "revoke_solarnetwork_token": _O,
    "list_solarnetwork_certificates": _O,
    "create_solarnetwork_certificate": _O,
    "get_solarnetwork_certificate": _O,
    "revoke_solarnetwork_certificate": _O,
    "list_devices": _V,
    "create_device": _E,
    "get_device": _V,
    "update_device": _E,
    "delete_device": _E,
    "list_streams": _V,
    "update_stream": _E,
    "list_readings": _V,
    "delete_readings": _E,
    "list_rollups": _V,
    "list_resets": _V,
    "put_reset": _E,
    "delete_reset": _E,
    "send_readings": _E,
    "write_lines": _E,
    "write_lines_v2": _E,
    "list_quarantine": _V,
    "get_quarantine": _V,
    "replay_quarantine_entry": _E,
    "replay_quarantine": _E,
    "purge_quarantine": _E,
    "delete_quarantine_entry": _E,
    "list_mqtt_credentials": _E,
    "create_mqtt_credential": _E,
    "get_mqtt_credential": _E,
    "update_mqtt_credential": _E,
    "delete_mqtt_credential": _E,
    "list_integration_types": _V,
    "list_payload_formats": _V,
    "preview_payload": _E,
    "preview_integration_type": _E,
    "preview_integration": _E,
    "get_integration_type": _V,
    "list_integrations": _V,
    "create_integration": _E,
    "get_integration": _V,
    "update_integration": _E,
    "duplicate_integration": _E,
    "delete_integration": _E,
    "test_integration": _E,
    "list_deliveries": _V,
    "list_dead_letters": _V,
    "replay_integration": _E,
    "purge_integration": _E,
    "pause_integration": _E,
    "resume_integration": _E,
    "get_integration_stats": _V,
    "list_topics": _V,
    "list_events": _V,
    "get_event": _V,
    "watch_events": _V,
    "list_source_types": _V,
    "list_sources": _E,
    "create_source": _E,
    "get_source": _E,
    "update_source": _E,
    "delete_source": _E,
    "list_audit": _O,
    "export_configuration": _E,
    "apply_configuration": _O,
}
