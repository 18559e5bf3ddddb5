"""The one place where the parts of the daemon meet: each is made here and handed what it uses."""
