"""The training loop, and the tasks that say what a step is."""
