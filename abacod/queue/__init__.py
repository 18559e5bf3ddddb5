"""Mailboxes: what waits for which actor, in order, backed by the store."""
