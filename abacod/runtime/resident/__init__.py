"""Containers whose program stays up and is handed one message after the other, over HTTP on a Unix socket."""
