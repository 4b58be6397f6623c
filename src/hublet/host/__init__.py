"""Fitting into the machine: service manager, waking, files to watch, and what the user's own commands know."""
