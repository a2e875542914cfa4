"""Does a URI come from this template? RFC 6570, as far as resource templates use it.

Template and URI both come from strangers. A regular expression with many wild cards can be made to
try all ways to share a long URI out among them, so the URI is walked once for each expression.
"""

import re
from dataclasses import dataclass

_EXPRESSION = re.compile(r"\{([+#./;?&]?)[^{}+#./;?&][^{}]*\}")
_OPENER_AND_STOPS = {
    "": ("", "/?#"), "+": ("", ""), "#": ("#", ""), ".": (".", "/?#"),
    "/": ("/", "?#"), ";": (";", "/?#"), "?": ("?", "#"), "&": ("&", "#"),
}  # fmt: skip
"""What an expansion begins with unless it is empty, and what it never contains."""
MAX_EXPRESSIONS = 32
MAX_URI = 4096


@dataclass(frozen=True, slots=True)
class UriTemplate:
    """A template, taken apart."""

    parts: tuple[tuple[str, str | None], ...]
    """Each literal with the operator of the expression behind it; None ends the template."""

    def matches(self, uri: str) -> bool:
        """Say whether the URI is an expansion of the template."""
        if len(uri) > MAX_URI or len(self.parts) > MAX_EXPRESSIONS:
            return False
        places = {0}
        for literal, operator in self.parts:
            places = {at + len(literal) for at in places if uri.startswith(literal, at)}
            if operator is not None:
                places = _ends(uri, places, operator)
        return len(uri) in places


def _ends(uri: str, places: set[int], operator: str) -> set[int]:
    """Return where an expansion that begins at one of these places may end."""
    opener, stops = _OPENER_AND_STOPS[operator]
    found = set(places)
    walked = 0
    for place in sorted(places):
        if not uri.startswith(opener, place):
            continue
        at = max(place + len(opener), walked)
        found.add(at)
        while at < len(uri) and uri[at] not in stops:
            at += 1
            found.add(at)
        walked = at
    return found


def compile_template(template: str) -> UriTemplate:
    """Take a template apart; what is no expression stands for itself."""
    parts: list[tuple[str, str | None]] = []
    at = 0
    for expression in _EXPRESSION.finditer(template):
        parts.append((template[at : expression.start()], expression.group(1)))
        at = expression.end()
    return UriTemplate((*parts, (template[at:], None)))
