"""The web page of `hublet ui`: a separate process that shows what the daemon knows to one browser of the same user."""
