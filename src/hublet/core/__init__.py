"""The pure middle: what is asked, what is known, and what follows from it. No I/O, no clock, no randomness."""
