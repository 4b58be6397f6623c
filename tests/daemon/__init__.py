"""Tests with a real daemon: real commands, real files, real signals."""
