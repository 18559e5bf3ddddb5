"""The data catalog: loading records into it, and reading them."""
