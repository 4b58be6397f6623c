"""Passes over the Hub: what one asks for, and how what follows from its answers is kept and published."""
