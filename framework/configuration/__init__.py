"""A study's configuration: its typed top, composition by Hydra, and the objects that its groups name."""
