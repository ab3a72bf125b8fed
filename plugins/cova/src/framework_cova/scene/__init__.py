"""A synthetic static camera whose boxes are exact."""
