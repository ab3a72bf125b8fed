"""Results that other load generators wrote, read into our names: one module a family of tools."""
