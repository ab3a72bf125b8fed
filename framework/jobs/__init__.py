"""Jobs of a sweep in a queue: submitted once, watched, accounted for whatever becomes of them."""
