"""What real clients get, from npm and replayed."""
