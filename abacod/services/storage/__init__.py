"""Storage systems: directories of this machine that users name files in, and that nothing leads out of."""
