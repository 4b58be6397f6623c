"""Keeping records: sealed SQLite, one transaction a pass."""
