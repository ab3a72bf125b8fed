"""What is stored next to the bundles: advice, predictions, recordings of imported runs."""
