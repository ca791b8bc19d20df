"""What policies would have cost, side by side: with intervals on their differences, and as pictures."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ringbound.display.figures import BLUE, GREY, OCHRE, RED, Plot, panels
from ringbound.display.tables import Shown
from ringbound.evaluation.uncertainty import Estimate, mean_of
from ringbound.simulation.money import Prices
from ringbound.simulation.policy import ORACLE
from ringbound.simulation.record import PolicyRun

COLOURS = (GREY, BLUE, OCHRE, RED, "#5b8c5a", "#7d5ba6", "#3aa6a6", "#a65b7d", "#222222")


@dataclass(frozen=True)
class Simulated(Shown):
    """The runs of all policies, and of the oracle as the last; intervals are over the draw of `stretch` days in a row.

    `checked` says how much was asked again, row by row, through the store and the online features, with the same bits.
    """

    runs: list[PolicyRun]
    prices: Prices
    stretch: int
    draws: int
    seed: int
    checked: str = ""
    digits = 4

    def run(self, name: str) -> PolicyRun:
        """Return the run of one policy."""
        return next(one for one in self.runs if one.policy == name)

    def total(self, run: PolicyRun) -> float:
        """Return what a policy has cost: mistakes, retrainings and outcomes."""
        return sum(run.mistakes) + self._fixed(run)

    def _fixed(self, run: PolicyRun) -> float:
        learnt = sum(self.prices.of_retraining(rows) for rows in run.retrainings)
        return learnt + self.prices.outcome * run.outcomes

    @property
    def cheapest(self) -> PolicyRun:
        """The policy that has cost least; the oracle is none."""
        return min((one for one in self.runs if one.policy != ORACLE), key=self.total)

    def saving(self, run: PolicyRun, other: PolicyRun, *, among: int = 1) -> Estimate:
        """Return how much less `run` has cost than `other`, with its interval, on the same days.

        Of `among` such intervals, all are right at once with 95% (Bonferroni).
        """
        apart = np.array(other.mistakes) - np.array(run.mistakes)
        fixed, days = self._fixed(other) - self._fixed(run), len(apart)
        if not apart.any():
            return Estimate(fixed, fixed, fixed)
        one = mean_of(apart, np.array(run.days), draws=self.draws, seed=self.seed, stretch=self.stretch)
        low, high = one.interval(mean=True, level=1 - 0.05 / among)
        return Estimate(days * one.value + fixed, days * low + fixed, days * high + fixed)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a policy, the cheapest first."""
        first = self.runs[0]
        oracle = next((self.total(one) for one in self.runs if one.policy == ORACLE), None)
        rows = []
        for run in sorted(self.runs, key=self.total):
            saved = self.saving(run, first)
            known = {}
            if oracle is not None:
                known["regret"] = "" if run.policy == ORACLE else f"{self.total(run) - oracle:,.0f}"
            beside = "" if run is first else f"{saved.value:,.0f} ({saved.low:,.0f} to {saved.high:,.0f})"
            rows.append(
                {
                    "policy": run.policy,
                    "loss": sum(run.losses) / max(1, sum(run.rows)),
                    "mistakes": f"{sum(run.mistakes):,.0f}",
                    "retraining": f"{self._fixed(run):,.0f}",
                    "total": f"{self.total(run):,.0f}",
                    f"saves beside {first.policy}": beside,
                    **known,
                    "retrainings": len(run.retrainings),
                    "refused": run.refused,
                    "stopped": run.stopped,
                    "causes": run.causes,
                    "of them paid": run.paid,
                    "alerts": run.alerts,
                }
            )
        return pd.DataFrame(rows).set_index("policy")

    @property
    def caption(self) -> str:
        """Which policy is cheapest, and how sure that is: any of them might have seemed so, so all pairs are compared."""
        best, money = self.cheapest, f" {self.prices.currency}".rstrip()
        tried = [one for one in self.runs if one.policy != ORACLE]
        pairs = max(1, len(tried) * (len(tried) - 1) // 2)
        others = {one.policy: self.saving(best, one, among=pairs) for one in tried if one is not best}
        beaten = [name for name, saved in others.items() if saved.low > 0]
        alike = [name for name in others if name not in beaten]
        says = f"cheapest: {best.policy}, {self.total(best):,.0f}{money}"
        says += f"; surely cheaper than {', '.join(beaten)}" if beaten else ""
        says += f"; not surely cheaper than {', '.join(alike)}" if alike else ""
        return f"{says}; {self.checked}" if self.checked else says

    def events(self) -> pd.DataFrame:
        """Return what each policy did, in order."""
        rows = [{"policy": run.policy, **vars(event)} for run in self.runs for event in run.events]
        return pd.DataFrame(rows, columns=["policy", "day", "what", "why"]).set_index("policy")

    def figure(self) -> Plot:
        """Draw what each policy has saved beside the first, mistakes alone, and how old what served was."""
        figure, (left, right) = panels(12, 4.2, 2, [1, 1])
        first = np.array(self.runs[0].mistakes)
        days = pd.to_datetime(self.runs[0].days)
        for place, run in enumerate(self.runs):
            style = {"color": COLOURS[place % len(COLOURS)], "linewidth": 1.3}
            if run.policy == ORACLE:
                style |= {"color": "#222222", "linestyle": "--"}
            left.plot(days, np.cumsum(first - np.array(run.mistakes)), label=run.policy, **style)
            right.plot(days, (days - pd.to_datetime(run.cuts)).days, **style)
        left.set_title(f"Mistakes saved beside “{self.runs[0].policy}”, {self.prices.currency or 'units'}", fontsize=10)
        right.set_title("Days since what serves has learnt", fontsize=10)
        left.legend(frameon=False, fontsize=7)
        for axes in (left, right):
            axes.tick_params(labelsize=8)
            for label in axes.get_xticklabels():
                label.set_rotation(30)
        return Plot(figure)
