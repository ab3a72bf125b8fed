from __future__ import annotations

from framework.analysis.objectives import Objective
from framework.analysis.setting_fronts import SettingFront, SettingPoint
from framework.quantity import Quantity
from framework.report.front_figure import front_figure


def front(name: str) -> SettingFront:
    point = SettingPoint((name,), f"setting of {name}", (name,), (Quantity(1.0),), ("",), True, True, True)
    return SettingFront((name,), (point,), 0, None, None)


def test_the_series_of_the_answers_are_shown_first_in_their_order() -> None:
    fronts = [front(f"kind {number}") for number in range(20)]
    parameters = {f"kind {number}": {} for number in range(20)}
    chosen = ["setting of kind 17", "setting of kind 3"]
    spec = front_figure(fronts, [Objective("speed", "higher")], parameters, chosen).spec
    kinds = list(dict.fromkeys(trace["legendgroup"] for trace in spec["data"]))
    assert kinds[:3] == ["kind 17", "kind 3", "kind 0"]
    shown = {trace["legendgroup"] for trace in spec["data"] if trace["visible"] is True}
    assert {"kind 17", "kind 3"} <= shown
