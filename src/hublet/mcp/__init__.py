"""The MCP server of `hublet mcp`: offers the cache over standard input and output, read-only."""
