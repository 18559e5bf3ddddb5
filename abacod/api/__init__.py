"""The HTTP API: one noun a file; it talks to services only."""
