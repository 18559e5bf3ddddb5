"""Containers that are started before their messages come, and those that run many messages one after the other."""
