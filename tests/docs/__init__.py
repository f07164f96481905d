"""What the documentation says, held to what there is."""
