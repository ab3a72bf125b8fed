"""The learners of the ALOJA-ML paper, as baselines."""
