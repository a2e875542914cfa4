"""What is wrong with a configuration: all of it at once, each thing with its place."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; both count from 1, 0 is unknown."""

    line: int = 0
    column: int = 0


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    file: str
    """The file, or the environment variable."""
    place: Place
    path: str
    """The key, as `proxy.port`; empty when the file as a whole is meant."""
    what: str
    hint: str

    def __str__(self) -> str:
        at = f"{self.file}:{self.place.line}:{self.place.column}" if self.place.line else self.file
        path = f"{self.path}: " if self.path else ""
        hint = f". {self.hint}" if self.hint else ""
        return f"{at}: {path}{self.what}{hint}"

    def to_plain(self) -> dict[str, Any]:
        """Give the problem a form for JSON."""
        plain = asdict(self)
        plain.update(plain.pop("place"))
        return plain


def problem_of(plain: Mapping[str, object]) -> Problem:
    """Undo `Problem.to_plain` after a trip through JSON."""
    place = Place(int(str(plain["line"])), int(str(plain["column"])))
    texts = {key: str(plain[key]) for key in ("file", "path", "what", "hint")}
    return Problem(place=place, **texts)


class ConfigInvalid(Exception):
    """The configuration cannot be used; holds every problem that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
