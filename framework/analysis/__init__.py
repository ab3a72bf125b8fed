"""Science over runs, free of any domain: Pareto fronts, errors of predictions, comparisons."""
