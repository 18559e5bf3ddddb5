"""What the daemon does: one use-case or loop a file."""
