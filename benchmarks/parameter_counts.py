"""Count the parameters of shipped configurations a second way: by the model classes of transformers, without weights.

    pip install torch transformers && python benchmarks/parameter_counts.py [--every-class]

Each configuration of tests/framework_serving/hardware/published_counts.csv is built on the device `meta`, which has
no data, and its parameters are counted, tied ones once. Prints that count, the one in the table and ours. With
`--every-class` it builds each causal language model of transformers in its default configuration instead: prints
those that we count differently by more than 1 %, those that we refuse, and how many agree.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from framework.errors import ConfigError
from framework_serving.hardware.model_config import shape_of_config
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


def every_class() -> None:
    """Print where our count of a class's default configuration differs, what is refused, and how many agree."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    agree, refused = 0, []
    for kind, names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        name = names if isinstance(names, str) else names[0]
        try:
            config = default_config(name)
            built = counted(config)
        except Exception as error:  # a class without a usable default configuration: nothing to compare
            print(
                f"{name}: not built ({str(error).splitlines()[0][:60] if str(error) else type(error).__name__})"
            )
            continue
        try:
            ours = shape_of_config(config, kind).n_params
        except ConfigError:
            refused.append(name)
            continue
        if built and abs(ours / built - 1) > 0.01:
            print(f"{name}: built {built}, ours {ours}", flush=True)
        else:
            agree += 1
    print(f"{agree} agree within 1 %; refused: {', '.join(refused)}")


def default_config(name: str) -> dict[str, Any]:
    """Return the default configuration of a class as its `config.json` would be."""
    import transformers

    config: dict[str, Any] = json.loads(
        getattr(transformers, name).config_class().to_json_string(use_diff=False)
    )
    return {**config, "architectures": [name]}


def table() -> None:
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


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every-class", action="store_true")
    every_class() if parser.parse_args().every_class else table()


if __name__ == "__main__":
    main()
