"""Reaching a running gateway: its control socket, and its MCP endpoint as a modern client."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from only1mcp import __version__
from only1mcp.cli.keys import KEY_VARIABLE
from only1mcp.cli.output import NOT_FOUND, UNREACHABLE, USAGE, Failure
from only1mcp.ingress.admin_refusal import PREFIX
from only1mcp.ingress.origin import bracketed
from only1mcp.links.runtime_dir import RuntimeDir, for_port, running

MODERN = "2026-07-28"
CONTROL_GONE = "CONTROL_GONE"
"""The failure of who asks the control process while it is replaced."""
_TIMEOUT_S = 60.0
_NOT_FOUND_CODES = (-32601, -32602)
_KEY_HINT = f"set {KEY_VARIABLE}, or name a file with --key-file"


def find_instance(port: int | None) -> tuple[RuntimeDir, dict[str, Any]]:
    """Return the running gateway that is meant: its directory and its record.

    Raises:
        Failure: none runs, or several do and no port says which.
    """
    candidates = [for_port(port)] if port is not None else running()
    records = [(candidate, candidate.read_record()) for candidate in candidates]
    instances = [(instance, record) for instance, record in records if record is not None]
    if not instances:
        where = f" on port {port}" if port is not None else ""
        raise Failure(
            "NOT_RUNNING", f"no gateway runs{where}", "start one: only1mcp start",
            exit_code=UNREACHABLE,
        )  # fmt: skip
    if len(instances) > 1:
        ports = ", ".join(instance.path.name for instance, _ in instances)
        raise Failure(
            "AMBIGUOUS", f"several gateways run, on ports {ports}", "say --port", exit_code=USAGE
        )
    return instances[0]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("control", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def control_get(path: str, socket_path: Path | str, timeout_s: float = 5.0) -> Any:
    """Read from the admin API.

    Raises:
        Failure: the control process does not answer.
    """
    return control_send("GET", path, socket_path, timeout_s)[1]


def control_send(
    method: str, path: str, socket_path: Path | str, timeout_s: float = 30.0, body: Any = None,
    *, local: bool = True,
) -> tuple[int, Any]:  # fmt: skip
    """Send a request to the admin API; returns the status and the answer.

    Not `local`, it is one that came over the network.

    Raises:
        Failure: the control process does not answer.
    """
    connection = _UnixConnection(str(socket_path), timeout_s)
    text = None if body is None else json.dumps(body).encode()
    headers = {"Only1MCP-Local": "yes"} if local else {}
    try:
        connection.request(method, f"{PREFIX}{path}", text, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Failure(
            CONTROL_GONE, f"the gateway's control process does not answer: {error}",
            "try again in a second", exit_code=UNREACHABLE,
        ) from None  # fmt: skip
    finally:
        connection.close()


def endpoint(url: str | None, port: int | None = None) -> str:
    """Return the MCP endpoint that is meant."""
    if url is not None:
        return url
    _, record = find_instance(port)
    return endpoint_at(record["host"], record["port"])


def endpoint_at(host: str, port: int) -> str:
    """Return the MCP endpoint of a gateway that listens there, as it is reached from here."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - replaced, not bound
    return f"http://{bracketed(reached)}:{port}/mcp"


class McpClient:
    """As much of a modern MCP client as the command line needs.

    Raises:
        Failure: the URL is none of HTTP.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self._url = url
        self._key = key
        self._last_id = 0
        try:
            self._parts = urlsplit(url)
            self._port = self._parts.port
        except ValueError as error:
            raise _bad_url(f"{url} is no address: {error}") from None
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise _bad_url(f"{url} is no address")

    def request(self, method: str, params: dict[str, Any], name: str | None = None) -> Any:
        """Send a request and return its result.

        Raises:
            Failure: the gateway cannot be reached, or answers with an error.
        """
        self._last_id += 1
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "only1mcp-cli", "version": __version__},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method,
                "params": {**params, "_meta": meta}}  # fmt: skip
        headers = {"Content-Type": "application/json", "Mcp-Method": method,
                   "Accept": "application/json, text/event-stream",
                   "MCP-Protocol-Version": MODERN}  # fmt: skip
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        if name is not None:
            from only1mcp.protocol.headers import encode_value

            headers["Mcp-Name"] = encode_value(name)
        status, answer = self._post(json.dumps(body).encode(), headers)
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise Failure("UNAUTHENTICATED", _said(answer)[0], _KEY_HINT)
        if "error" in answer:
            error = answer["error"]
            code = NOT_FOUND if error.get("code") in _NOT_FOUND_CODES else 1
            message, hint = _said(answer)
            raise Failure("RPC_ERROR", message, hint, exit_code=code,
                          data={"rpc_code": error.get("code")})  # fmt: skip
        return answer["result"]

    def list_all(self, method: str, key: str) -> list[dict[str, Any]]:
        """Return all pages of a list."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.request(method, {"cursor": cursor} if cursor else {})
            if not isinstance(page, dict) or not isinstance(page.get(key), list):
                raise self._not_mcp(f"{method} without {key}")
            found += page[key]
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """Return the status and the JSON-RPC response."""
        parts = self._parts
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname or "", self._port, timeout=_TIMEOUT_S)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise Failure(
                "UNREACHABLE", f"{self._url} cannot be reached: {error}",
                "is the gateway running? only1mcp status", exit_code=UNREACHABLE,
            ) from None  # fmt: skip
        finally:
            connection.close()
        if "text/event-stream" in (response.getheader("Content-Type") or ""):
            text = ([line[5:] for line in text.splitlines() if line.startswith("data:")] or [""])[
                -1
            ]
        try:
            answer = json.loads(text)
        except ValueError:
            raise self._not_mcp(f"HTTP {response.status} and no JSON") from None
        if not isinstance(answer, dict) or not (
            "result" in answer or isinstance(answer.get("error"), dict)
        ):
            raise self._not_mcp(f"HTTP {response.status} and no JSON-RPC response")
        return response.status, answer

    def _not_mcp(self, answered: str) -> Failure:
        return Failure(
            "NOT_MCP", f"{self._url} answered {answered}", "check the address",
            exit_code=UNREACHABLE,
        )  # fmt: skip


def _said(answer: dict[str, Any]) -> tuple[str, str]:
    """Return what an error says, and its hint."""
    message, _, hint = str(answer.get("error", {}).get("message")).partition(". hint: ")
    return message, hint


def _bad_url(message: str) -> Failure:
    return Failure("BAD_URL", message, "write it as http://127.0.0.1:8080/mcp", exit_code=USAGE)
