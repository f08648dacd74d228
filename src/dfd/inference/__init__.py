"""From a bundle and images to predictions."""
