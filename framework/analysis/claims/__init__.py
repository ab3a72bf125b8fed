"""Published claims against our runs: `experiments/<name>/claims.yaml` becomes the reproduction card."""
