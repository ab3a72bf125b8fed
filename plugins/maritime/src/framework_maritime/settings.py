"""Typed configuration: a misspelt key or a wrong type is one clear line before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class MissingSettings:
    """What the register of a synthetic fleet lacks.

    Attributes:
        share: share of ships whose engines are hidden.
        type_share: share of ships whose type is hidden, drawn on its own.
        mechanism: `random`, or `small_ships`: small ships miss more, as in real registers.
    """

    share: float = 0.4
    type_share: float = 0.2
    mechanism: str = "random"


@dataclass
class SyntheticAisSettings:
    """`workload=ais_synthetic`: a fleet with known engines around a small port.

    Attributes:
        seed: the same seed gives the same fleet.
        ships, days, period_s: size of the fleet, length of its tracks, time between messages.
        noise: scale of the noise in speed, turn rate and position.
        gap_share: share of the time without messages.
        max_ships: cap on `ships`, which `scale=toy` sets; null for none.
    """

    _target_: str = "framework_maritime.ais.workloads.SyntheticAis"
    name: str = "ais_synthetic"
    seed: int = 0
    ships: int = 200
    days: float = 1.5
    period_s: float = 60.0
    noise: float = 1.0
    gap_share: float = 0.03
    missing: MissingSettings = field(default_factory=MissingSettings)
    max_ships: int | None = None


@dataclass
class AisSettings:
    """`workload=ais`: recorded AIS messages and a register of ships.

    Attributes:
        seed: for what is drawn at random later; the messages are the file's.
        file: CSV in a known layout, or raw NMEA.
        register: CSV with `ship_id` or `mmsi`, `ship_type`, `main_kw`, `design_speed_kn` …; null for none.
        layout: of the CSV; `auto` goes by its header.
        land: outlines that no ship can be in: `none`, `port` (the synthetic port), or a GeoJSON file.
        period_s: messages are thinned to one in so many seconds; 0 keeps all.
    """

    _target_: str = "framework_maritime.ais.workloads.RecordedAis"
    name: str = "ais"
    seed: int = 0
    file: str | None = None
    register: str | None = None
    layout: str = "auto"
    land: str = "none"
    period_s: float = 60.0


@dataclass
class EmissionSettings:
    """`backend=ship_emissions`: emissions of a fleet, what the register lacks filled in.

    Attributes:
        imputer: `global_mean`, `type_mean`, `neighbours`, `boosting`, `forest`, or `none`: ships that lack something
            emit nothing, as a port computes today.
        features: what the learners see of the movement: `none`, `history`, `pca`, `crbm`.
        scaling: of `pca` and `crbm`: `global`, `ship`, `both`.
        factors: `steam` or `epa`.
        step_s: longest piece of a track over which speed is taken as constant.
        fits, draws: models and draws from each, for the interval.
        level: of the interval.
        hidden, delay: hidden units of the CRBM and rows of history it sees.
    """

    _target_: str = "framework_maritime.study.emission_backend.EmissionBackend"
    name: str = "ship_emissions"
    imputer: str = "forest"
    features: str = "history"
    scaling: str = "global"
    factors: str = "steam"
    step_s: float = 60.0
    fits: int = 10
    draws: int = 5
    level: float = 0.9
    hidden: int = 10
    delay: int = 20


@dataclass
class ForecastSettings:
    """`backend=ship_forecast`: how well a model forecasts and rebuilds the movement of ships it hasn't seen.

    Attributes:
        learner: `crbm`, `last`, `seasonal`, `var`, `arima`, `gru`.
        delay: rows of history.
        hidden: hidden units of the CRBM.
        season: rows of a season, for `seasonal`.
        test_share: share of ships that are kept back, whole.
        test_ships: at most so many of them are scored.
        test_rows: rows scored of each.
    """

    _target_: str = "framework_maritime.study.forecast_backend.ForecastBackend"
    name: str = "ship_forecast"
    learner: str = "crbm"
    delay: int = 20
    hidden: int = 10
    season: int = 60
    test_share: float = 0.34
    test_ships: int = 12
    test_rows: int = 300
