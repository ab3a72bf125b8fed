"""COVA: a light detector specialised to each static camera, as a plugin of framework-lab."""
