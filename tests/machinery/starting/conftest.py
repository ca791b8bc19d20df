"""Tables that people bring: orders of a shop, and what is wrong with some."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def orders(n: int = 1000) -> pd.DataFrame:
    """Orders of ten months: whether each came back, and what else one might find in such a table."""
    dice = np.random.default_rng(5)
    at = pd.Timestamp("2020-01-01T08:00Z") + pd.to_timedelta(np.sort(dice.integers(0, 300 * 86400, n)), unit="s")
    shop, amount = dice.choice(["north", "south", "old town"], n), np.exp(dice.normal(3, 1, n)).round(2)
    back = dice.random(n) < 0.1 + 0.4 * (shop == "south")
    return pd.DataFrame(
        {
            "order": [f"o{number}" for number in range(n)],
            "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "shop": shop,
            "customer_id": dice.integers(1, 60, n),
            "amount": amount,
            "country": "NL",
            "refund": np.where(back, amount, 0.0),
            "closed": (at + pd.Timedelta("3D")).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "back": np.where(back, "yes", "no"),
        }
    )


@pytest.fixture
def put(tmp_path):
    """A function that writes a table, changed as told, and returns the file."""

    def write(name: str = "orders.csv", **changed) -> Path:
        frame = orders().assign(**changed)
        file = tmp_path / name
        if name.endswith(".parquet"):
            frame.to_parquet(file)
        elif name.endswith(".jsonl"):
            frame.to_json(file, orient="records", lines=True)
        else:
            frame.to_csv(file, index=False)
        return file

    return write
