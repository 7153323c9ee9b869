"""The rows of the table. Each is a function that takes the options and returns a Row."""

from benchmarks.rows import connections, delivery, growth, ingest, query, start

ROWS = {
    "qos1": ingest.qos1,
    "end_to_end": ingest.end_to_end,
    "qos2": ingest.qos2,
    "day_messages": ingest.day_messages,
    "webhook_latency": delivery.webhook_latency,
    "aggregate_latency": delivery.aggregate_latency,
    "webhook_throughput": delivery.webhook_throughput,
    "sqs_throughput": delivery.sqs_throughput,
    "dead_endpoint": delivery.dead_endpoint,
    "cold_start": start.cold_start,
    "idle_memory": start.idle_memory,
    "rollup_query": query.rollup_query,
    "growth_devices": growth.devices,
    "growth_integrations": growth.integrations,
    "growth_readings": growth.readings,
    "idle_connections": connections.idle_connections,
}
