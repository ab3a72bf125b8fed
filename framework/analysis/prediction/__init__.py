"""Predicting a metric of runs that were never made, from runs that were; knows features, no domain."""
