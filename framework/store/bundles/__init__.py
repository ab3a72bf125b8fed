"""Run bundles: folders of Parquet and JSON, written whole, packed, read back."""
