"""What stands behind a sweep's points that their overrides don't show: code, configuration files, engines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from framework.configuration.components import build_component
from framework.errors import UserError
from framework.identity.run_key import canonical_hash
from framework.identity.versions import code_version, execution_hash, meaning_hash
from framework.sweep.axis_check import Composer
from framework.sweep.grid import Axis

_NAMES_NOTHING = re.compile(r"[-+.\deE]+|true|false|null", re.IGNORECASE)


def sweep_code(
    backend: object, composer: Composer, fixed: Sequence[str], grids: Sequence[Sequence[Axis]]
) -> str:
    """Return `package version+hash` for a sweep's job keys: equal ones let a point be skipped before it is composed.

    Args:
        backend: that of the base configuration.
        composer, fixed, grids: what is swept; every backend among the points is asked for its fingerprint.
    """
    executed = {execution_hash(backend, of_sweep=True)}
    for overrides in _other_backends(grids):
        try:
            other = build_component(composer.compose([*fixed, *overrides]), "backend")
        except UserError:  # the job will say so, as a run
            continue
        executed.add(execution_hash(other, of_sweep=True))
    return code_version(backend, canonical_hash([sorted(executed), meaning_hash()]))


def _other_backends(grids: Sequence[Sequence[Axis]]) -> Iterator[list[str]]:
    """Yield the first point of each grid, and it with every other value that may name another backend or engine."""
    for axes in grids:
        first = {key: values[0] for key, values in axes}
        yield [f"{key}={value}" for key, value in first.items()]
        for key, values in axes:
            if key.lstrip("+").partition(".")[0] == "backend":
                for value in values[1:]:
                    if not _NAMES_NOTHING.fullmatch(value):
                        yield [f"{name}={text}" for name, text in {**first, key: value}.items()]
