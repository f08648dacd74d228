"""From a bundle to a graph for other engines, and the proof that it says the same."""
