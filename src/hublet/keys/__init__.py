"""Where the key-encryption key comes from: one module a source."""
