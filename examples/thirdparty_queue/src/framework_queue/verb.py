"""A verb: `python -m framework erlang-c`."""

from __future__ import annotations

from typing import Annotated

import typer


def erlang_c(
    arrival_rate_hz: Annotated[float, typer.Option(help="Arrivals a second.")],
    service_mean_s: Annotated[float, typer.Option(help="Mean service time in seconds.")],
    servers: Annotated[int, typer.Option(help="Number of servers.")],
) -> int:
    """Print the mean wait that Erlang C predicts.

    Example: python -m framework erlang-c --arrival-rate-hz 8 --service-mean-s 0.4 --servers 4
    """
    from framework.errors import InputError
    from framework_queue.theory import erlang_c_wait_s

    try:
        print(f"{erlang_c_wait_s(arrival_rate_hz, service_mean_s, servers):.6g} s")
    except ValueError as error:
        raise InputError(str(error)) from error
    return 0
