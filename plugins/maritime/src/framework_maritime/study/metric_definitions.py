"""What the maritime metrics mean."""

from __future__ import annotations

from framework.contracts import MetricDefinition

_NAMES = {
    "co2": "carbon dioxide",
    "nox": "nitrogen oxides",
    "sox": "sulphur oxides (as SO2)",
    "pm": "particulate matter",
    "co": "carbon monoxide",
    "hc": "unburnt hydrocarbons",
}


def _scores() -> list[MetricDefinition]:
    found = []
    for kind, what in (
        ("forecast", "one-step forecast"),
        ("reconstruction", "reconstruction, which has seen the row"),
    ):
        for name in ("turn", "speed", "depth"):
            for word, of in (("median", "median"), ("mean", "mean"), ("p90", "90th percentile")):
                text = f"RMSE over standard deviation of the {what} of {name}: {of} of held-out ships."
                found.append(MetricDefinition(f"{kind}_nrmse_{name}_{word}", "", text, "lower"))
    return found


MARITIME_METRICS = (
    *(
        MetricDefinition(f"{key}_t", "t", f"Mass of {name} emitted by the fleet.", headline=key == "co2")
        for key, name in _NAMES.items()
    ),
    MetricDefinition("ships_imputed", "", "Ships whose type or engines were filled in."),
    MetricDefinition(
        "co2_added_share", "", "CO2 beyond what ships with complete records emit, relative to that."
    ),
    MetricDefinition("fleet_co2_bias_pct", "%", "Difference of the fleet's CO2 from the truth, signed."),
    MetricDefinition("fleet_co2_error_pct", "%", "The same without its sign.", "lower", headline=True),
    MetricDefinition(
        "co2_recovered_share", "", "Share of the CO2 of ships with incomplete records that was found."
    ),
    MetricDefinition(
        "interval_holds", "", "1 if the interval of the fleet's CO2 contains the truth.", "higher"
    ),
    MetricDefinition(
        "ship_co2_error_kg", "kg", "Mean absolute error of CO2 of ships with incomplete records.", "lower"
    ),
    MetricDefinition("ship_co2_error_pct", "%", "Median absolute relative error of the same.", "lower"),
    MetricDefinition(
        "ship_power_error_kw", "kW", "Mean absolute error of main-engine power of these ships.", "lower"
    ),
    MetricDefinition("ship_power_error_pct", "%", "Median absolute relative error of the same.", "lower"),
    *_scores(),
)
