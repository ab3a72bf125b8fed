"""Pareto fronts of serving configurations."""
