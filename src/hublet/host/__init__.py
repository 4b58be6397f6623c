"""Fitting into the machine: service manager, waking."""
