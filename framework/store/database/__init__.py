"""The DuckDB database: its schema, how bundles get into it, and read access."""
