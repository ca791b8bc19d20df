"""Records: frozen dataclasses that are JSON files, so that no two modules agree on a dictionary's keys by habit.

    @dataclass(frozen=True)
    class Provenance(Record):
        made_by = "dvc repro ingest"
        through: str

    Provenance.read(folder / "provenance.json").through

A file that is missing, damaged, in conflict or of an older format is one line that says what to run.
"""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic

from ringbound.errors import RecordError, one_line


class Record:
    """Base of the frozen dataclasses that read and write themselves.

    `format` is the file's format: raise it when an older file would mean something else. `made_by` is the command that
    makes the file anew.
    """

    __pydantic_config__: ClassVar[Any] = pydantic.ConfigDict(extra="forbid")
    format: ClassVar[int] = 1
    made_by: ClassVar[str] = "dvc repro"

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file; `RecordError` where it is not one of these records."""
        try:
            text = file.read_text("utf-8")
        except FileNotFoundError as error:
            raise RecordError(
                f'expected {file.name} in {file.parent.name}/; it is not there; run "{cls.made_by}"'
            ) from error
        except UnicodeDecodeError as error:
            raise RecordError(f'{file.name}: expected UTF-8 text; run "{cls.made_by}"') from error
        return cls.from_text(text, file.name)

    @classmethod
    def from_text(cls, text: str, name: str) -> Self:
        """Return the record that the text of the file `name` holds."""
        if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
            raise RecordError(f'{name}: has conflict marks of a merge; resolve them, or run "{cls.made_by}"')
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecordError(f'{name}: expected JSON; {one_line(error, 100)}; run "{cls.made_by}"') from error
        given = plain.pop("format", None) if isinstance(plain, dict) else None
        if given != cls.format:
            raise RecordError(
                f"{name}: expected a {cls.__name__} of format {cls.format}; got "
                f'{"no format" if given is None else f"format {given}"}; run "{cls.made_by}" with this version'
            )
        adapter: pydantic.TypeAdapter[Any] = _adapter(cls)  # type: ignore[arg-type]
        try:
            return adapter.validate_json(json.dumps(plain), strict=True)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise RecordError(f'{name}: {place}: {first["msg"]}; run "{cls.made_by}"') from error

    def to_text(self) -> str:
        """Return the file's text; the same record gives the same bytes."""
        return json.dumps({"format": self.format, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"  # type: ignore[call-overload]

    def write(self, file: Path) -> Path:
        """Write the file and return it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.to_text(), "utf-8")
        return file


@cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)
