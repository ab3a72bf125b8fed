"""Advisor `knobs`: the setting of an engine's knobs that is predicted to be fastest, benchmark by benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.analysis.number_format import count_noun
from framework.contracts import Advice, AdvisorScope, Json
from framework.errors import ConfigError

if TYPE_CHECKING:
    from framework_hadoop.knowledge.knob_study import BestSetting


class KnobAdvisor:
    """Learns from the sweep's runs; advises over all combinations of the values that it varied.

    Args:
        level: of the intervals, as a fraction.
    """

    def __init__(self, level: Any = 0.9) -> None:
        if isinstance(level, bool) or not isinstance(level, float) or not 0 < level < 1:
            raise ConfigError(f"advisor.knobs.level: expected a fraction between 0 and 1, got {level!r}")
        self.level = level

    def advise(self, scope: AdvisorScope) -> Iterator[Advice]:
        """Yield one piece of advice a benchmark; none if the runs are too few to learn from."""
        from framework_hadoop.knowledge import knob_study

        runs = knob_study.knob_runs(scope.store, scope.run_ids)
        for best in knob_study.best_settings(runs, self.level) if runs is not None else ():
            known = "was run" if best.measured else "was predicted from other configurations and not run"
            regret = "" if best.regret is None else f"; measured {best.regret:.0%} above the best measured"
            yield Advice(
                advisor="knobs",
                subject=best.benchmark,
                recommendation=dict(best.settings),
                metric=knob_study.TIME,
                predicted=best.predicted_s,
                low=best.low_s,
                high=best.high_s,
                reason=f"predicted to be the fastest of all combinations from {len(best.run_ids)} "
                f"runs; it {known}{regret}",
                run_ids=list(best.run_ids),
                facts={"measured": best.measured, "regret": best.regret, **_beside(best)},
            )


def _beside(best: BestSetting) -> dict[str, Json]:
    """Return what the answer says of other combinations."""
    if best.second_s is None:
        return {"beats": "there is no other combination"}
    differs = " ".join(f"{k}={v}" for k, v in best.second.items() if best.settings[k] != v)
    margin = 100 * (1 - best.predicted_s / best.second_s)
    sure = "its interval ends before that of every other combination begins"
    if best.overlapping:
        sure = f"{count_noun(best.overlapping, 'other combination')} may be as fast: the intervals overlap"
    return {
        "beats": f"{count_noun(best.others, 'other combination')}, the next ({differs}) by {margin:.1f} %, predicted",
        "sure": sure,
        "changes": list(best.edges),
    }
