"""The config: its file, its keys, what root has settled, and where everything lies."""
