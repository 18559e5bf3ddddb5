"""The commands of `abaco`, by noun. Each module has functions and no state; `abacod.client.main` gives them their names."""
