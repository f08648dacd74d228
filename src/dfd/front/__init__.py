"""The parts of the front door: arguments, settings, help, completion, composing, running, resuming."""
