"""Which LoRA adapters share which GPU, from what was learned of one GPU; the verbs."""

DEPLOYMENT_KIND = "adapters_on_gpus"
"""What the file of a deployment is called; here, because hooks are asked for it before anything heavy is imported."""
