"""Why a change of the configuration's text is refused."""


class EditRefused(Exception):
    """The file is written in a way that cannot be changed safely, or there is another reason."""

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


class BeingWritten(EditRefused):
    """Another program has the file open for writing, or saves it again and again."""

    code = "BEING_WRITTEN"


class EmptyFile(EditRefused):
    """The file says nothing at all, so something has been lost."""

    code = "EMPTY_FILE"
