"""Maps over pixels: what speaks for a fake, and how faithful they are."""
