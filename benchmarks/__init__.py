"""What the hub can carry, each figure beside a yardstick from the same run. See README.md."""
