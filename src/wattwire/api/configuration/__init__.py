"""The configuration of an organization as one document: exported, compared, applied."""
