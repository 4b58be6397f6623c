"""A pretend Hub with sample data and faults that can be switched on."""
