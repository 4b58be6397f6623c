"""Offers what is cached to programs that speak the Model Context Protocol, over standard input and output."""
