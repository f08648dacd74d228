"""A verdict card: all that is known of one picture."""
