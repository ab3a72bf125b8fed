"""The load client: sends a workload's requests at their times and records when every token came back."""
