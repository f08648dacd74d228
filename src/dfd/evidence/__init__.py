"""What a file says of itself: format, compression, tags, content credentials."""
