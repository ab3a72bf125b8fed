"""What is stored beside the bundles: advice, predictions, recordings of imported runs."""
