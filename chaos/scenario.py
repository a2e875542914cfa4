"""What a scenario is, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass, field

Figure = int | float | str


@dataclass(slots=True)
class Findings:
    """The figures of one run, and which promises it broke."""

    figures: dict[str, Figure] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Aims in time, which a machine that others use as well can miss by itself."""

    def note(self, **figures: Figure) -> None:
        """Add figures; words in a name are told apart by underscores."""
        self.figures |= {name.replace("_", " "): figure for name, figure in figures.items()}

    def expect(self, holds: bool, promise: str) -> None:
        """Note a promise that does not hold."""
        if not holds:
            self.broken.append(promise)

    def aim(self, holds: bool, promise: str) -> None:
        """Note an aim that was missed: a failure of `python -m chaos`, but not of the tests."""
        if not holds:
            self.missed.append(promise)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault and what must hold while it lasts."""

    name: str
    promise: str
    run: Callable[[float, Findings], None]
    """Takes the seconds that the fault lasts, and what to note the findings in."""
    seconds: float = 10.0
    """How long it lasts when nothing else is asked for."""
