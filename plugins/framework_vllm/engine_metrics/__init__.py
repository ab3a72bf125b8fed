"""What the engine says of itself: its `/metrics`, sampled next to the load and set on the client's clock."""
