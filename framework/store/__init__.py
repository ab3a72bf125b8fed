"""Run bundles, DuckDB and the views over them."""
