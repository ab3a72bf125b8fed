"""A sweep as points and curves: quantities with intervals, knees."""
