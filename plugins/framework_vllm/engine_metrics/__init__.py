"""What the engine says of itself: its `/metrics`, sampled beside the load and set on the client's clock."""
