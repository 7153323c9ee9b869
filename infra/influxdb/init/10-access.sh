#!/bin/bash
# Runs once, when the container sets up an empty volume: version 1's API on the buckets.
# Grafana asks in InfluxQL, which InfluxDB 2 answers for a database and retention policy that are
# mapped to a bucket (DBRP). Databases are named as their buckets.
set -euo pipefail

org=$DOCKER_INFLUXDB_INIT_ORG
readings=$DOCKER_INFLUXDB_INIT_BUCKET_ID

influx bucket create --org "$org" --name "$HUB_BUCKET" --retention 0
hub=$(influx bucket list --org "$org" --name "$HUB_BUCKET" --hide-headers | cut -f 1)

influx v1 dbrp create --org "$org" --bucket-id "$readings" \
  --db "$DOCKER_INFLUXDB_INIT_BUCKET" --rp autogen --default
influx v1 dbrp create --org "$org" --bucket-id "$hub" --db "$HUB_BUCKET" --rp autogen --default

influx v1 auth create --org "$org" --username grafana --password "$GRAFANA_READER_PASSWORD" \
  --read-bucket "$readings" --read-bucket "$hub"
influx v1 auth create --org "$org" --username telegraf --password "$TELEGRAF_WRITER_PASSWORD" \
  --write-bucket "$hub"
