"""What hublet costs, measured on the whole product and beside its peers: `python -m tests.benchmarks`."""
