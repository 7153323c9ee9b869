"""From the log into the store: written once, marked, matched."""
