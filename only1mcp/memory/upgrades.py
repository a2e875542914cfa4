"""What the supervisor tells control of upgrades of the program: control asks for them."""

import enum


class Standing(enum.IntEnum):
    """How a wish for an upgrade would find the supervisor."""

    IDLE = 0
    UNDER_WAY = 1
    """A new program is on its way to take over, or we are it and have not done so yet."""
    HANDED_OVER = 2


class UpgradeWords:
    """The two words about it, which the supervisor alone writes."""

    def __init__(self, words: "memoryview[int]") -> None:
        self._words = words

    @property
    def heard(self) -> int:
        """How many wishes were heard; one that has been is obeyed or refused already."""
        return self._words[0]

    @property
    def standing(self) -> Standing:
        """How the next wish would find the supervisor."""
        return Standing(self._words[1])

    def stand(self, standing: Standing) -> None:
        """Say how the next wish will find us."""
        self._words[1] = standing

    def hear(self, standing: Standing) -> None:
        """Say that a wish was heard, and what has come of it."""
        self._words[1] = standing
        self._words[0] += 1
