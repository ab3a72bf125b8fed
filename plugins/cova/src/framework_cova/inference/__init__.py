"""How a student looks at a frame: whole, or only at packed regions of several."""
