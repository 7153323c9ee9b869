"""The MQTT door: clients speak 3.1.1 to it, and nothing is acknowledged before it is durable."""
