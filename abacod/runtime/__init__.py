"""Running containers: one protocol, and its Docker implementation."""
