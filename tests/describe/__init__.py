"""What hublet says that it serves, held against what it serves."""
