"""The command `abaco`: a client of the HTTP API. Of the server it knows nothing but the version."""
