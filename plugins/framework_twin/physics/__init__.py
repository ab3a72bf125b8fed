"""What a step costs: step time, memory, loads, power; fitted or from the datasheet."""
