"""What a request means, tested without a token."""
