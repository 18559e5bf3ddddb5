"""abacod: Abaco's functions-as-a-service API for one machine, in one process."""

__version__ = "0.1.0"
