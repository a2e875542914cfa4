"""Does a URI come from this template? RFC 6570, as far as resource templates use it."""

import re

_EXPRESSION = re.compile(r"\{([+#./;?&]?)([^{}]*)\}")
_VALUE = {
    "": r"[^/?#]*", "+": r".*", "#": r"(?:#.*)?", ".": r"(?:\.[^/?#]*)?", "/": r"(?:/[^?#]*)?",
    ";": r"(?:;[^/?#]*)?", "?": r"(?:\?[^#]*)?", "&": r"(?:&[^#]*)?",
}  # fmt: skip


def compile_template(template: str) -> re.Pattern[str]:
    """Return a pattern that matches every expansion of the template."""
    pattern, at = [], 0
    for expression in _EXPRESSION.finditer(template):
        pattern.append(re.escape(template[at : expression.start()]))
        pattern.append(_VALUE[expression.group(1)])
        at = expression.end()
    pattern.append(re.escape(template[at:]))
    return re.compile("".join(pattern), re.DOTALL)
