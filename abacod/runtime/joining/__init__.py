"""What executions join instead of making it anew: the network that their worker holds, and an image with links."""
