"""The parts of the HTTP process that need neither HTTP nor signers."""
