"""What `advise --running` does: find the plugin that knows the deployment, and let it say what has become wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.contracts import Deployed
from framework.errors import UserError


def check_deployed(deployed: Deployed) -> int:
    """Return the exit status of the check of a deployment's kind.

    Raises:
        UserError: a file that is none, of an unknown kind; neither a log nor metrics, or both; one line.
    """
    from framework.plugins import ask

    if (deployed.log is None) == (not deployed.metrics):
        raise UserError("--running: give its load, either --log FILE or --metrics URL")
    kind = _kind(deployed)
    known = {name: check for _, checks in ask("deployments") for name, check in checks.items()}
    if kind not in known:
        raise UserError(
            f"{deployed.file}: kind '{kind}' of deployment (known: {', '.join(sorted(known)) or 'none'})"
        )
    return int(known[kind](deployed))


def _kind(deployed: Deployed) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        data = yaml.safe_load(deployed.file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{deployed.file}: not readable ({' '.join(str(error).split())})") from None
    if not isinstance(data, Mapping) or "kind" not in data:
        raise UserError(f"{deployed.file}: describes no deployment, it has no key 'kind'")
    return data["kind"]
