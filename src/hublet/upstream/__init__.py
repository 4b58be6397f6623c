"""Asking the Hub: one Operation out, one Outcome back."""
