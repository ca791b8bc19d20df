"""Which outcomes are not learnt from: those that cannot be, those that contradict each other, and those of a key that errs.

Who tells outcomes may be wrong, or mean it. Where several keys tell what came of questions of the same days, theirs are held
against each other, also those that another has told over since: within a day, the errors of the answers by one key's
outcomes, less what the answers themselves lead to expect, are compared with those by all, as if who told which were drawn at
random (the exact mean and variance of a stratified permutation test; Strasser and Weber, Mathematical Methods of Statistics
8, 1999). Where the model fails everywhere, all keys say so alike, and nobody is suspected. It takes an honest majority, and
sees nothing in fewer than `LEAST` outcomes of a key in a week; a key of places where the model is half as wrong again as
elsewhere looks the same as one that errs, which is why it is an alarm for people and not a judgement.
"""

import numpy as np
import pandas as pd

from ringbound.feedback.final import NOBODY

LEAST = 20
"""Outcomes of a key in a week below which nothing is concluded."""
SURE = 5.0
"""Standard deviations from which chance is ruled out: one key in 3.5 million, a week."""
WORSE = 1.5
"""How many times the errors of others one key's have to be: keys may be of other places, where more is wrong."""
WEEK_US = 7 * 24 * 3_600_000_000


def suspects(outcomes: pd.DataFrame) -> pd.Series:
    """Return why each of n outcomes is not learnt from, missing where it is; (n,) of texts.

    `outcomes` has `prediction_id`, `at` and `time` (int64 microseconds: of the question, of the outcome), `answer`,
    `outcome`, `told_by`, and `contradicted`, by whom another value was told with the same time, missing where by nobody,
    and for classes `decided`.

    >>> rows = [("a", 10, 20, 0.2, 1.0, "shop", None), ("b", 10, 5, 0.2, 0.0, "shop", None)]
    >>> names = ["prediction_id", "at", "time", "answer", "outcome", "told_by", "contradicted"]
    >>> suspects(pd.DataFrame(rows, columns=names)).tolist()
    [nan, 'time: expected one after that which was asked about; it is 0.000005 s before']
    """
    reasons = np.full(len(outcomes), None, object)
    before = (outcomes["at"] - outcomes["time"]).to_numpy()
    for row in np.flatnonzero(before > 0):
        reasons[row] = f"time: expected one after that which was asked about; it is {before[row] / 1e6:.6f} s before"
    contradicted = outcomes["contradicted"].to_numpy()
    for row in np.flatnonzero(outcomes["contradicted"].notna() & (before <= 0)):
        told = f"{contradicted[row]} told another one of the same time"
        reasons[row] = f"contradictory: {told}; one of them has to be told again, of a later time"
    sound = reasons == None  # noqa: E711 - elementwise
    for (week, key), says in erring_keys(outcomes[sound]).items():
        reasons[sound & (outcomes["told_by"] == key).to_numpy() & (outcomes["at"] // WEEK_US == week).to_numpy()] = says
    return pd.Series(reasons, outcomes.index, dtype="str")


def accepted(outcomes: pd.DataFrame, reasons: pd.Series) -> pd.DataFrame:
    """Return of each prediction the outcome that stands among those that are not put aside, in their order."""
    sound = outcomes[reasons.isna()].sort_values(["time", "seq"], kind="stable")
    return sound.drop_duplicates("prediction_id", keep="last").sort_index()


def erring_keys(outcomes: pd.DataFrame) -> dict[tuple[int, str], str]:
    """Return the keys whose outcomes of a week contradict the answers far more than those of others, and how."""
    of_classes = "decided" in outcomes
    if of_classes:
        outcomes = outcomes[outcomes["decided"].notna()]
    day, answer = outcomes["at"] // (WEEK_US // 7), outcomes["answer"]
    probable = answer.between(0, 1).all() and outcomes["outcome"].isin([0.0, 1.0]).all()
    expected = 2 * answer * (1 - answer) if probable else 0.0 * answer  # of a number, nobody knows how far it is off
    error = (outcomes["outcome"] - answer).abs()
    if of_classes:  # the likeliest came, or another
        error, expected = (outcomes["outcome"] != outcomes["decided"]).astype(float), 1 - answer
    table = pd.DataFrame({"day": day, "week": outcomes["at"] // WEEK_US, "key": outcomes["told_by"], "error": error})
    table = table.assign(expected=expected, excess=error - expected)
    of_day = table.groupby("day")["excess"].agg(["size", "mean", "var"]).rename(columns={"size": "all"})
    own = table.groupby(["week", "day", "key"], as_index=False).agg(
        size=("error", "size"), error=("error", "sum"), expected=("expected", "sum"), excess=("excess", "sum")
    )
    own = own.join(of_day, on="day")
    own = own[own["all"] > own["size"]]  # a day of which one key alone tells says nothing
    others = (own["all"] * own["mean"] - own["excess"]) / (own["all"] - own["size"])
    own["others"] = own["expected"] + own["size"] * others
    own["off"] = own["excess"] - own["size"] * own["mean"]
    own["variance"] = own["size"] * (own["all"] - own["size"]) / own["all"] * own["var"]
    sums = own.groupby(["week", "key"])[["size", "error", "others", "off", "variance"]].sum()
    far = sums["off"] / np.sqrt(sums["variance"].where(sums["variance"] > 0))
    found = sums[(sums["size"] >= LEAST) & (far > SURE) & (sums["error"] > WORSE * sums["others"])]
    return {
        place: f"{place[1] or NOBODY}: its outcomes of a week are {mean:.3g} from the answers, and by those that others tell "
        f"of the same days would be {other:.3g}; expected outcomes alike"
        for place, mean, other in zip(
            found.index.tolist(), found["error"] / found["size"], found["others"] / found["size"], strict=True
        )
    }
