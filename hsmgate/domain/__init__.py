"""What a request means: pure functions and values, no I/O."""
