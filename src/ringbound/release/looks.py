"""The ledger of looks: which models have been held against which months, in a file that git keeps.

Whoever judges twenty equal challengers on the same months at 5% each will find one that seems better. So the chance of such
an error is shared out: the first look at some months gets half of it, the second a sixth, the k-th 1 / (k (k + 1)), which
adds up to the whole and never to more. Months that nobody has looked at begin anew.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ringbound.errors import RecordError


@dataclass(frozen=True)
class Look:
    """A challenger held against a champion, both by their bundles' versions, on the months from `first` to `last`.

    `gates` is the digest of what they were held to.
    """

    challenger: str
    champion: str
    first: str
    last: str
    gates: str

    def overlaps(self, other: "Look") -> bool:
        """Return whether both are at some of the same months."""
        return self.first <= other.last and other.first <= self.last


HEADER = [field.name for field in fields(Look)]


def read_looks(text: str | None, name: str) -> list[Look]:
    """Return the looks that the text of the file `name` holds, in order; none where there is no file."""
    header, *lines = [*csv.reader(io.StringIO(",".join(HEADER) if text is None else text))] or [[]]
    if header != HEADER or any(len(line) != len(HEADER) for line in lines):
        raise RecordError(f"{name}: expected a line with {', '.join(HEADER)} for each look; restore it with git")
    return [Look(*line) for line in lines]


def note_look(file: Path, look: Look) -> int:
    """Append a look to the ledger unless it is there already, and return its number at these months.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "looks.csv"
    >>> [note_look(file, Look(model, "m0", "2013-11", "2013-12", "g")) for model in ("m1", "m2", "m1")]
    [1, 2, 1]
    """
    looks = read_looks(file.read_text("utf-8") if file.is_file() else None, file.name)
    number = number_of(look, looks)
    if look not in looks:
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows([HEADER, *map(astuple, [*looks, look])])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lines.getvalue(), "utf-8")
    return number


def number_of(look: Look, looks: Sequence[Look]) -> int:
    """Return the how many-th look at some of its months it is, or would be, counted from 1."""
    before = looks[: looks.index(look)] if look in looks else looks
    return 1 + sum(look.overlaps(other) for other in dict.fromkeys(before))


def spent(alpha: float, number: int) -> float:
    """Return the chance of error that a look may have, of `alpha` for all of them.

    >>> [round(spent(0.05, number), 4) for number in (1, 2, 20)]
    [0.025, 0.0083, 0.0001]
    """
    return alpha / (number * (number + 1))
