"""Hands over: a person's assistants as files that a client without Hub code reads."""
