"""Who may come in, and the bytes they speak."""
