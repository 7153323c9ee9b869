"""The REST face: one file per resource, schemas next to the handlers."""
