"""The report of executions that were recorded elsewhere and imported."""
