"""Answering: Operation and Snapshot in, Response out."""
