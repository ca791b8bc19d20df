"""What was chosen for a new workspace, and by what its rows are split."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """What was chosen by whoever asks for a workspace; hours."""

    name: str
    package: str
    horizon_h: float
    mature_h: float
    zone: str


@dataclass(frozen=True)
class Periods:
    """By what rows are split: how they are called, the expression that gives them, how many judge and measure."""

    word: str
    of_rows: str
    of_clean: str
    valid: int
    test: int
