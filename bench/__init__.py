"""Measurements of abacod beside the least that could do the same: `python -m bench`."""
