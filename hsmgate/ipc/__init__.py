"""What crosses the process boundary between the gateway and its signers."""
