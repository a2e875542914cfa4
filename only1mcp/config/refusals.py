"""Why a change of the configuration's text is refused."""


class EditRefused(Exception):
    """The file is written in a way that cannot be changed safely."""

    code = "UNUSUAL_FILE"
    http_status = 409

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class UnknownServer(EditRefused):
    """No server has this id."""

    code = "NOT_FOUND"
    http_status = 404


class DuplicateServer(EditRefused):
    """A server has this id."""

    code = "EXISTS"
