"""How busy each adapter of a population is, and when: popularity, drift, tenants that pause, bursts in common.

Everything is a rate that changes in steps. Requests are drawn on an axis of expected arrivals and placed in time by
its inverse, so a process keeps its law of gaps, and the mean rate over a long time is that of the popularity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.configuration.plain_values import number, one_of
from framework.errors import ConfigError
from framework_serving.workloads.settings import (
    ActivitySettings,
    AdapterMixSettings,
    BurstSettings,
    PopularitySettings,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

_USED = {"list": set[str](), "zipf": {"mean_rps", "exponent"}, "uniform": {"mean_rps", "spread"}}
KINDS = tuple(_USED)
_POPULARITY, _ACTIVITY, _BURSTS = "workload.popularity", "workload.activity", "workload.bursts"
MAX_STEPS = 2_000_000
"""Changes of rate over all adapters: a typing error in seconds should not fill the memory."""


@dataclass(frozen=True, eq=False)
class StepRate:
    """A rate of one adapter that changes in steps.

    Attributes:
        times_s: begins of the steps, the first 0, and the end of the window as the last, shape (k + 1,).
        rates_rps: the rate from one to the next, shape (k,).
    """

    times_s: FloatArray
    rates_rps: FloatArray

    @property
    def knots(self) -> FloatArray:
        """Arrivals expected up to each time, shape (k + 1,)."""
        import numpy as np

        return np.concatenate([[0.0], np.cumsum(self.rates_rps * np.diff(self.times_s))])

    def times(self, expected: FloatArray) -> FloatArray:
        """Return when so many arrivals are expected, seconds: the inverse of `knots`."""
        import numpy as np

        found: FloatArray = np.interp(expected, self.knots, self.times_s)
        return found


def is_steady(settings: AdapterMixSettings) -> bool:
    """Return whether no rate changes within the window."""
    changing = (*vars(settings.activity).values(), *vars(settings.bursts).values())
    return settings.popularity.drift_s is None and all(value is None for value in changing)


def check_unused(settings: AdapterMixSettings) -> None:
    """Raise `ConfigError` if a key of the population is set where requests don't arrive by rates."""
    kind = settings.arrivals.kind
    for key, own, default in (
        (_POPULARITY, settings.popularity, PopularitySettings()),
        (_ACTIVITY, settings.activity, ActivitySettings()),
        (_BURSTS, settings.bursts, BurstSettings()),
    ):
        for name, value in vars(own).items():
            if value != getattr(default, name):
                raise ConfigError(f"{key}.{name}: has no effect on '{kind}' arrivals")


def mean_rates(settings: AdapterMixSettings, n: int) -> list[float]:
    """Return the mean rate of each of n adapters, the most popular first for `zipf`; not shuffled.

    Raises:
        ConfigError: a missing or bad value, or one without effect; names the key.
    """
    popularity, listed = settings.popularity, settings.rates_rps
    kind = one_of(popularity.kind, f"{_POPULARITY}.kind", KINDS)
    used = _USED[kind]
    for name in ("mean_rps", "exponent", "spread"):
        if name not in used and getattr(popularity, name) is not None:
            raise ConfigError(f"{_POPULARITY}.{name}: has no effect with kind '{kind}'")
    if kind == "list":
        if not listed:
            raise ConfigError("workload.rates_rps: at least one rate is needed")
        rates = [number(rate, "workload.rates_rps", above=0) for rate in listed]
        return [rates[index % len(rates)] for index in range(n)]
    if listed:
        raise ConfigError(f"workload.rates_rps: has no effect with {_POPULARITY}.kind={kind}; set it to []")
    mean = number(popularity.mean_rps, f"{_POPULARITY}.mean_rps", above=0)
    if kind == "zipf":
        exponent = 1.0 if popularity.exponent is None else popularity.exponent
        number(exponent, f"{_POPULARITY}.exponent", least=0)
        shares = [(rank + 1.0) ** -exponent for rank in range(n)]
    else:
        spread = number(
            0.5 if popularity.spread is None else popularity.spread, f"{_POPULARITY}.spread", least=0
        )
        if spread >= 1:
            raise ConfigError(f"{_POPULARITY}.spread: must be below 1, got {spread:g}")
        shares = [1.0 + spread * (2.0 * (rank + 0.5) / n - 1.0) for rank in range(n)]
    total = sum(shares)
    return [mean * n * share / total for share in shares]


def step_rates(
    settings: AdapterMixSettings, rates: list[float], window_s: float, rng: np.random.Generator
) -> list[StepRate]:
    """Return the rate of each adapter over the window.

    Args:
        settings: drift, activity and bursts.
        rates: mean rate of each adapter at the begin.
        window_s: length of the window.
        rng: source of randomness.

    Raises:
        ConfigError: a bad value; names the key.
    """
    import numpy as np

    n = len(rates)
    periods, order = _drift(settings.popularity, n, window_s, rng)
    crowd = _bursts(settings.bursts, window_s, rng)
    base = np.asarray(rates)
    found = []
    for adapter in range(n):
        own = StepRate(periods, base[order[:, adapter]])
        for factor in (crowd, _activity(settings.activity, n, window_s, rng)):
            own = own if factor is None else _product(own, factor)
        found.append(own)
    return found


def _drift(
    popularity: PopularitySettings, n: int, window_s: float, rng: np.random.Generator
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the borders of the periods, and for each period which rate each adapter has."""
    import numpy as np

    order = np.arange(n)[None, :]
    if popularity.drift_s is None:
        return np.asarray([0.0, window_s]), order
    drift_s = number(popularity.drift_s, f"{_POPULARITY}.drift_s", above=0)
    periods = int(np.ceil(window_s / drift_s))
    _check_steps(f"{_POPULARITY}.drift_s", periods * n)
    borders = np.append(np.arange(periods) * drift_s, window_s)
    return borders, np.concatenate([order, *(rng.permutation(n)[None, :] for _ in range(periods - 1))])


def _bursts(bursts: BurstSettings, window_s: float, rng: np.random.Generator) -> StepRate | None:
    """Return the factor that all adapters have in common, None without bursts."""
    if bursts.every_s is None:
        for name in ("length_s", "factor"):
            if getattr(bursts, name) is not None:
                raise ConfigError(f"{_BURSTS}.{name}: has no effect without {_BURSTS}.every_s")
        return None
    every = number(bursts.every_s, f"{_BURSTS}.every_s", above=0)
    length = number(bursts.length_s, f"{_BURSTS}.length_s", above=0)
    factor = number(bursts.factor, f"{_BURSTS}.factor", above=0)
    if length >= every:
        raise ConfigError(f"{_BURSTS}.length_s: must be below every_s ({every:g}), got {length:g}")
    quiet = every / (every - length + factor * length)  # the mean over quiet time and bursts is 1
    return _alternating(every - length, length, quiet, factor * quiet, window_s, rng, f"{_BURSTS}.every_s", 1)


def _activity(
    activity: ActivitySettings, n: int, window_s: float, rng: np.random.Generator
) -> StepRate | None:
    """Return the factor of one adapter, None for one that never pauses."""
    if activity.off_s is None:
        if activity.on_s is not None:
            raise ConfigError(f"{_ACTIVITY}.on_s: has no effect without {_ACTIVITY}.off_s")
        return None
    off = number(activity.off_s, f"{_ACTIVITY}.off_s", above=0)
    on = number(activity.on_s, f"{_ACTIVITY}.on_s", above=0)
    return _alternating(off, on, 0.0, (on + off) / on, window_s, rng, f"{_ACTIVITY}.on_s", n)


def _alternating(
    first_s: float,
    second_s: float,
    first: float,
    second: float,
    window_s: float,
    rng: np.random.Generator,
    key: str,
    copies: int,
) -> StepRate:
    """Return a factor that alternates between two values, each for an exponential time, long in progress at 0."""
    import numpy as np

    cycles = int(window_s / (first_s + second_s) * 2) + 50
    _check_steps(key, cycles * copies)
    begins_second = rng.random() < second_s / (first_s + second_s)
    lengths = np.ravel(rng.exponential([[first_s, second_s]], (cycles, 2)))
    values = np.tile([first, second], cycles)
    if begins_second:
        lengths, values = lengths[1:], values[1:]
    borders = np.concatenate([[0.0], np.cumsum(lengths)])
    inside = borders < window_s
    return StepRate(np.append(borders[inside], window_s), values[: int(inside.sum())])


def _product(one: StepRate, other: StepRate) -> StepRate:
    import numpy as np

    times = np.union1d(one.times_s, other.times_s)
    begins = times[:-1]
    rates = [item.rates_rps[np.searchsorted(item.times_s, begins, side="right") - 1] for item in (one, other)]
    return StepRate(times, rates[0] * rates[1])


def _check_steps(key: str, steps: int) -> None:
    if steps > MAX_STEPS:
        raise ConfigError(f"{key}: too short, the rates would change {steps:,} times")
