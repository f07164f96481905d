"""How many signers and sessions a token wants: measured with its own keys, by the pools that serve."""
