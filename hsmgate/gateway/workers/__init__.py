"""Several gateway processes on one address (`workers` in the config), and what they count together."""
