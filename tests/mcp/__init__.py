"""`hublet mcp` with real clients."""
