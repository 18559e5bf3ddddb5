"""The command line of the daemon: works on the data directory, beside a daemon or without one."""
