"""The only place with SQL: rows in, records out."""
