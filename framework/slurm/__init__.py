"""Jobs of a sweep on a cluster: submitted once, watched, accounted for whatever becomes of them."""
