"""Plain records and rules of the domain: no input, no output."""
