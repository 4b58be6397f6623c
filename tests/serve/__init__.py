"""Tests of the answers, in one process."""
