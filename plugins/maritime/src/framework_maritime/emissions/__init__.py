"""From speed over time to grams: engine power, emission factors, fuel zones."""
