"""Physics where no profile was fitted: measured operators or the roofline, the engine's own work, and bands."""
