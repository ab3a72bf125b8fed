"""Count the parameters of shipped configurations a second way: by the model classes of transformers, without weights.

    pip install torch transformers && python benchmarks/parameter_counts.py

Each configuration of tests/framework_serving/hardware/published_counts.csv is built on the device `meta`, which holds
no data, and its parameters are counted, tied ones once. Prints that count, the one in the table and ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from framework_serving.hardware.model_files import config_of_id, shape_of_id

TABLE = Path(__file__).parents[1] / "tests" / "framework_serving" / "hardware" / "published_counts.csv"


def counted(config: dict[str, Any]) -> int | None:
    """Return the parameters of a configuration's class; None if `transformers` has no such class."""
    import torch
    import transformers

    kind = getattr(transformers, config["architectures"][0], None)
    if kind is None:
        return None
    given = {
        key: value for key, value in config.items() if key not in ("architectures", "quantization_config")
    }
    with torch.device("meta"):
        model = kind(kind.config_class(**given))
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    """Print the three counts of every row."""
    for line in TABLE.read_text().splitlines():
        if line.startswith("#"):
            continue
        hub_id, _, stated = line.partition(",")
        built = counted(dict(config_of_id(hub_id)))
        print(
            hub_id,
            "no such class" if built is None else built,
            stated,
            shape_of_id(hub_id).n_params,
            flush=True,
        )


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
