"""How many adapters of any kind an engine serves: boundaries found by simulation, and what is learned from them."""
