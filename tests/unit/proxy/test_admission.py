"""Who may send what."""

import pytest

from only1mcp.errors import SessionNotFound
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Request
from tests.support.desk import Desk
from tests.support.loop import on_loop
from tests.support.messages import MODERN


@on_loop
async def test_a_session_can_be_opened_by_its_headers_alone() -> None:
    """As DELETE needs it; a version that we do not speak is refused in printable words."""
    desk = Desk()
    session = desk.session()
    request = Request(McpHeaders(session=session, version="2025-11-25"), b"", "")
    assert desk.pipeline.admission.open_session(request).version == "2025-11-25"
    for version in ("2031-01-01", MODERN, "\udcff\n"):
        headers = McpHeaders(session=session, version=version)
        with pytest.raises(Exception, match="is not supported") as caught:
            desk.pipeline.admission.open_session(Request(headers, b"", ""))
        assert str(caught.value).isprintable()
    with pytest.raises(SessionNotFound):
        desk.pipeline.admission.open_session(Request(McpHeaders(session="x"), b"", ""))
