"""The receipt of a scored file: what it was made of, so that it can be made again and held against what it was."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ringbound.errors import BundleError
from ringbound.models.bundle import Bundle
from ringbound.workspace.records import Record


@dataclass(frozen=True)
class FileDigest:
    """A file as it was: its name, and the SHA-256 of its content."""

    name: str
    sha256: str

    @classmethod
    def of(cls, file: Path) -> "FileDigest":
        """Return that of a file."""
        with file.open("rb") as opened:
            return cls(file.name, hashlib.file_digest(opened, "sha256").hexdigest())


@dataclass(frozen=True)
class BatchReceipt(Record):
    """`OUTPUT.receipt.json`: the inputs in the order in which they were read, the model, what was asked for, what came out.

    `events` tells the events that were looked back on from others, as far as a look at their files or log tells; `answers`
    counts rows by rung and, where it was not the best one, reason.
    """

    made_by: ClassVar[str] = "ringbound score"

    model: str
    features: str
    inputs: list[FileDigest]
    events: str
    explain: bool
    prefix: str
    rows: int
    errors: int
    malformed: int
    answers: dict[str, int]
    output: FileDigest

    @staticmethod
    def beside(output: Path) -> Path:
        """Return the file that the receipt of an output is in."""
        return output.with_name(output.name + ".receipt.json")


def receipt_of(
    inputs: Sequence[FileDigest],
    output: Path,
    bundle: Bundle,
    events: str,
    options: Mapping[str, Any],
    done: Mapping[str, Any],
) -> BatchReceipt:
    """Return the receipt of an output that is written; `events` is their reader's identity."""
    counts = {name: done[name] for name in ("rows", "errors", "malformed", "answers")}
    return BatchReceipt(
        model=bundle.version,
        features=bundle.features.hash,
        inputs=list(inputs),
        events=hashlib.sha256(events.encode()).hexdigest(),
        output=FileDigest.of(output),
        **options,
        **counts,
    )


def differs(
    output: Path, inputs: Sequence[Path], bundles: Callable[[str], Bundle], score: Callable[..., Any]
) -> tuple[str, str]:
    """Make a scored file again by `score(output, bundle, explain=…, prefix=…)` and say at which step it differs, and how.

    The steps are output, inputs, model, events, answers, receipt; two empty texts where the file is made again to the byte.
    """
    receipt = BatchReceipt.read(BatchReceipt.beside(output))
    if FileDigest.of(output) != receipt.output:
        return "output", f"{output.name} was changed after it was written"
    if [FileDigest.of(file) for file in inputs] != receipt.inputs:
        wanted = ", ".join(one.name for one in receipt.inputs)
        return "inputs", f"expected {wanted} as when they were scored; got {', '.join(file.name for file in inputs)}"
    try:
        bundle = bundles(receipt.model)
    except BundleError as error:
        return "model", str(error)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        again = Path(folder) / output.name
        score(again, bundle, explain=receipt.explain, prefix=receipt.prefix)
        if FileDigest.of(again) != receipt.output:
            found = BatchReceipt.read(BatchReceipt.beside(again))
            if found.events != receipt.events:
                return "events", "those that are looked back on are, or lie, elsewhere than when they were scored"
            counts = "" if found.answers == receipt.answers else f": {found.answers}; recorded are {receipt.answers}"
            return "answers", f"made again they are others{counts}"
        if replace(BatchReceipt.read(BatchReceipt.beside(again)), events=receipt.events) != receipt:
            return "receipt", "what it says of the rows is not what comes out"
    return "", ""
