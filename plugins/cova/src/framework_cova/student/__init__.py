"""Small detectors that are trained for one camera."""
