"""What recorded executions teach: prediction studies, knob effects, the best configuration."""
