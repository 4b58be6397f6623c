"""The page of `hublet ui`: a process of its own that shows what the daemon knows, to one browser of the same user."""
