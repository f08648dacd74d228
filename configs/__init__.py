"""The settings of every command: one file a command, and a folder for each group of choices."""
