"""How the study meets the framework: backends, tables, metrics, advice, report."""
