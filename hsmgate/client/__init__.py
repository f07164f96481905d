"""What the commands know of a running gateway: its HTTP API, and nothing of its inside."""
