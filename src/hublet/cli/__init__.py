"""The command line: each command parses its arguments, calls the daemon or the code behind it, and prints."""
