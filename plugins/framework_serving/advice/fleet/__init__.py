"""Which LoRA adapters share which GPU, from what was learned of one GPU; the verbs."""
