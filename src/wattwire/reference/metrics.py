"""What each figure of `/metrics` means. A story compares the names with those of a running hub."""

from typing import Final

from wattwire.reference.markdown import NOTICE, code, table

MEANINGS: Final = {
    "wattwire_process_up": "1 for each process of the hub heard within the last 5 s.",
    "wattwire_database_up": "Whether the database answered when the metrics were asked for.",
    "wattwire_intake_messages_total": "Messages understood and handed to the log.",
    "wattwire_intake_messages_refused_total": "Messages on their way into the quarantine.",
    "wattwire_intake_readings_total": "Readings durable in the log.",
    "wattwire_intake_commits_total": "Batches durable in the log.",
    "wattwire_intake_commit_retries_total": "Times a batch had to be handed to the log again.",
    "wattwire_intake_commits_given_up_total": "Batches given back unsaved; nobody was told yes.",
    "wattwire_intake_backlog_bytes": "Bytes on their way into the log.",
    "wattwire_mqtt_connections_now": "Open connections.",
    "wattwire_mqtt_sessions_now": "Sessions, connected or lasting.",
    "wattwire_mqtt_subscriptions_now": "Subscriptions of all sessions.",
    "wattwire_mqtt_retained_messages_now": "Retained messages.",
    "wattwire_mqtt_unreleased_bytes_now": "Bytes received and not yet durable.",
    "wattwire_mqtt_queued_bytes_now": "Bytes that wait for subscribers.",
    "wattwire_mqtt_connections_opened_total": "Connections accepted.",
    "wattwire_mqtt_connections_refused_total": "Over the limit, bad credentials, no session.",
    "wattwire_mqtt_connections_displaced_total": "Ended because the same client came again.",
    "wattwire_mqtt_connections_expired_total": "Ended because keep-alive ran out.",
    "wattwire_mqtt_connections_stalled_total": "Ended because the client took nothing.",
    "wattwire_mqtt_handshakes_expired_total": "Not complete in time.",
    "wattwire_mqtt_credentials_refused_total": "Wrong user names, passwords, certificates.",
    "wattwire_mqtt_packets_malformed_total": "Packets that are not MQTT 3.1.1.",
    "wattwire_mqtt_packets_received_total": "Packets received.",
    "wattwire_mqtt_bytes_received_total": "Bytes received.",
    "wattwire_mqtt_bytes_sent_total": "Bytes sent.",
    "wattwire_mqtt_messages_received_total": "Messages published by clients.",
    "wattwire_mqtt_messages_repeated_total": "Repeats at QoS 2 that were not committed twice.",
    "wattwire_mqtt_messages_refused_total": "Messages that could not be made durable.",
    "wattwire_mqtt_messages_forbidden_total": "Messages to topics that are not theirs.",
    "wattwire_mqtt_messages_sent_total": "Messages sent to subscribers.",
    "wattwire_mqtt_messages_dropped_total": "For subscribers whose queue was full.",
    "wattwire_mqtt_acknowledgements_sent_total": "PUBACK and PUBREC sent.",
    "wattwire_mqtt_subscriptions_granted_total": "Filters granted.",
    "wattwire_mqtt_subscriptions_refused_total": "Filters refused.",
    "wattwire_mqtt_wills_published_total": "Wills published.",
    "wattwire_mqtt_wills_lost_total": "Wills that could not be made durable.",
    "wattwire_mqtt_retained_refused_total": "Retained messages over the bound.",
    "wattwire_mqtt_writes_failed_total": "Sessions and retained messages that were not saved.",
    "wattwire_ethernet_ip_devices": "Devices that are polled.",
    "wattwire_ethernet_ip_devices_answering": "Of these, those that answer.",
    "wattwire_ethernet_ip_polls_total": "Polls begun.",
    "wattwire_ethernet_ip_answered_total": "Polls that made a reading.",
    "wattwire_ethernet_ip_missed_total": "Polls left out: too late, no connection, no room.",
    "wattwire_ethernet_ip_reconnects_total": "Sessions of a device after its first.",
    "wattwire_ethernet_ip_unreachable_total": "Polls without a connection.",
    "wattwire_ethernet_ip_silent_total": "Polls without an answer in time.",
    "wattwire_ethernet_ip_lost_total": "Polls that lost their connection, and the one made anew.",
    "wattwire_ethernet_ip_denied_total": "Polls answered with a status other than success.",
    "wattwire_ethernet_ip_unreadable_total": "Polls with a wrong size or a value that is none.",
    "wattwire_ethernet_ip_refused_total": "Readings that the hub refused, now in quarantine.",
    "wattwire_ethernet_ip_dropped_total": "Readings that could not be kept when a source ended.",
    "wattwire_ethernet_ip_readings_waiting": "Readings not yet in the log.",
    "wattwire_ethernet_ip_lateness_p50_seconds": (
        "How late polls begin, of the last one to two minutes: half of them not later."
    ),
    "wattwire_ethernet_ip_lateness_p99_seconds": "The same: all but one of a hundred not later.",
    "wattwire_pipeline_partitions": "Partitions that this process owns.",
    "wattwire_pipeline_batches_total": "Batches of the log stored.",
    "wattwire_pipeline_slices_total": "Transactions that stored them.",
    "wattwire_pipeline_readings_total": "Readings stored.",
    "wattwire_pipeline_readings_changed_total": "Of these, new or with a new value.",
    "wattwire_pipeline_quarantined_total": "Quarantine entries written.",
    "wattwire_rollups_buckets_settled_total": "Stale buckets computed.",
    "wattwire_rollups_buckets_changed_total": "Of these, with a new value.",
    "wattwire_delivery_integrations": "Integrations that this process owns.",
    "wattwire_delivery_integrations_in_error": "Those whose receiver is down or was parked.",
    "wattwire_delivery_calls": "Calls under way, or answered and not yet written down.",
    "wattwire_delivery_attempts_total": "Attempts written down.",
    "wattwire_delivery_delivered_total": "Messages that receivers took.",
    "wattwire_delivery_dead_total": "Messages given up.",
    "wattwire_delivery_messages_matched": "Messages that events made for an integration.",
    "wattwire_delivery_messages_delivered": "Messages that its receiver took.",
    "wattwire_delivery_messages_waiting": "Messages that wait.",
    "wattwire_delivery_messages_in_flight": "Messages in calls under way.",
    "wattwire_delivery_messages_dead": "Messages given up, kept as dead letters.",
    "wattwire_delivery_messages_discarded": "Messages discarded, with a reason.",
}
_BY_INTEGRATION: Final = "wattwire_delivery_messages_"
_UNLABELLED: Final = frozenset({"wattwire_database_up"})


def page() -> str:
    """Return the page."""
    rows = ((code(name), _kind(name), code(_label(name)), MEANINGS[name]) for name in MEANINGS)
    return (
        f"{NOTICE}# Metrics\n\n`GET /metrics` of the process that serves the API, in the text "
        "format of Prometheus, for all processes of the hub. For each integration, at any moment, "
        "`matched = delivered + waiting + in_flight + dead + discarded`: all six come from one "
        "snapshot of the database. Counters start at 0 with their process; the ledger's do not.\n\n"
        + table(("name", "kind", "label", "meaning"), rows)
    )


def _kind(name: str) -> str:
    return "counter" if name.endswith("_total") else "gauge"


def _label(name: str) -> str:
    if name in _UNLABELLED:
        return ""
    return "integration" if name.startswith(_BY_INTEGRATION) else "process`, `owner"
