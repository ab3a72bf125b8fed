"""What the stored runs say: gains and their intervals, curves, claims, advice, the report."""
