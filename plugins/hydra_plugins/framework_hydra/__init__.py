"""The framework's sweeper and launchers; Hydra finds plugins only in the namespace package `hydra_plugins`."""
