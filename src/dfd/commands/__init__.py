"""The commands, one short file each: run(config, out) -> exit code."""
