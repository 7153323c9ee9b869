"""The engines the hub stands on: embedded PostgreSQL and NATS, their folder, keys and leases."""
