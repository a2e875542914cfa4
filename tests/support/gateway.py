"""The real gateway, started as its users start it, for the time of a `with` block."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from only1mcp.cli.gateway import control_get
from only1mcp.cli.output import Failure
from only1mcp.transports.stdio import descendants
from tests.support.fork_server import ForkedProcess, ForkServers
from tests.support.waiting import wait_until

_STOP_S = 30.0
_PROGRAM = [sys.executable, "-P", "-m", "only1mcp"]


class Gateway:
    """Runs `only1mcp start`; on leaving the block every process below it has ended.

    Args:
        config: the configuration as plain data, or the text of a YAML file; None for no file at
            all, which is the demonstration.
        workers: how many workers; None leaves that to the configuration.
        pure: whether the pure twins serve instead of the compiled ones.
        wait_for: ids of the servers that must be up before the block begins; all when left out.
        host: where to listen, as it stands in a URL.
        port: where to listen; 0 picks a free port.
        directory: holds configuration, state and sockets. One of its own when left out; give the
            same one twice, with its port, and the second gateway continues for the first. Its path
            must be short, for unix sockets.
        env: variables on top of ours.
        options: further arguments of `only1mcp start`.
        wrapper: a program that runs it, with its arguments.
    """

    fork_servers: ClassVar[ForkServers | None] = None
    """Where gateways begin; each is a program of its own, run from its first line on, if None."""

    def __init__(
        self, config: Mapping[str, Any] | str | None, *, workers: int | None = 1,
        pure: bool = False, wait_for: Iterable[str] | None = None, host: str = "127.0.0.1",
        port: int = 0, directory: Path | None = None, env: Mapping[str, str] | None = None,
        options: Iterable[str] = (), wrapper: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.host = host
        self.port = port
        self._config = config
        self._wait_for = None if wait_for is None else tuple(wait_for)
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="o1-")
        self.directory = directory or Path(self._temporary.name if self._temporary else "")
        self._wrapper = tuple(wrapper)
        self._options = [*([] if workers is None else ["--workers", str(workers)]), *options]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ONLY1MCP_")}
        self._env = {
            **inherited,
            "ONLY1MCP_RUNTIME_DIR": str(self.directory / "run"),
            "ONLY1MCP_HOME": str(self.directory / "home"),
            **(_nobody(self.directory) if config is None else {}),
            **({"ONLY1MCP_PURE": "1"} if pure else {}),
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as error:
            error.add_note(f"the gateway's log ends: {self._log_tail}")
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._clean_up()

    @property
    def url(self) -> str:
        """The MCP endpoint."""
        return f"http://{self.host}:{self.port}/mcp"

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that the gateway has said so far, which is on standard error."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def out(self) -> str:
        """What stands on standard output."""
        return (self.directory / "out").read_text(errors="replace")

    @property
    def env(self) -> dict[str, str]:
        """The environment it runs in; commands given the same one find it."""
        return dict(self._env)

    @property
    def runtime_dir(self) -> Path:
        """Where its sockets and its record are."""
        return self.directory / "run" / str(self.port)

    def status(self) -> dict[str, Any]:
        """Return what `only1mcp status` shows, asked of the control process directly.

        Raises:
            Failure: the control process does not answer.
        """
        record = json.loads((self.runtime_dir / "supervisor.json").read_text())
        status: dict[str, Any] = control_get("status", record["control"])
        return status

    def server(self, server_id: str) -> dict[str, Any]:
        """Return the status of one server."""
        servers: list[dict[str, Any]] = self.status()["servers"]
        return next(server for server in servers if server["id"] == server_id)

    def processes(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Return the process table by role and index; an empty one while control is away."""
        try:
            rows = self.status()["processes"]
        except (Failure, OSError):
            return {}
        return {(row["role"], row["index"]): row for row in rows}

    def pids(self, role: str) -> list[int]:
        """Return the pids of our processes with this role: worker, host, control or demo."""
        return [row["pid"] for row in self.status()["processes"] if row["role"] == role]

    def command(self, *arguments: str) -> dict[str, Any]:
        """Run another `only1mcp` command that prints JSON, with this gateway's environment."""
        done = subprocess.run(
            [*_PROGRAM, *arguments], env=self._env, capture_output=True, text=True, check=False
        )
        try:
            printed: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise RuntimeError(f"{arguments} printed {done.stdout!r} {done.stderr!r}") from None
        return printed

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run another `only1mcp` command; returns its exit code, output and error output."""
        done = subprocess.run(
            [*_PROGRAM, *arguments], env=self._env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def get(self, path: str) -> tuple[int, bytes]:
        """Fetch a path of the data port; returns the status and the body."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}") as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def wait_up(self, *server_ids: str) -> None:
        """Wait until these servers are up; all of them when none is named."""
        wait_until(lambda: self._is_up(server_ids), f"servers up: {server_ids or 'all'}")

    def stop(self) -> int:
        """Ask the gateway to stop and return its exit code once it has."""
        assert self._process is not None
        self._process.terminate()
        return self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def interrupt(self) -> None:
        """Send SIGINT to the whole process group, as a terminal does on Ctrl-C."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self) -> int:
        """Wait for the end of the supervisor and return its exit code."""
        assert self._process is not None
        return self._process.wait(_STOP_S)

    def configure(self, config: Mapping[str, Any] | str) -> Path:
        """Write the configuration file; a running gateway reads it on SIGHUP."""
        text = config if isinstance(config, str) else json.dumps(config)
        path = self.directory / "config.yaml"  # JSON is YAML
        path.write_text(text)
        return path

    def _start(self) -> None:
        named = [] if self._config is None else ["--config", str(self.configure(self._config))]
        arguments = ["start", *named, "--host", self.host.strip("[]"), "--port", str(self.port),
                     *self._options]  # fmt: skip
        if self.fork_servers is not None and not self._wrapper:
            self._process = self.fork_servers.start(arguments, self._env, self.directory)
        else:
            self._process = self._run(arguments)
        self.port = wait_until(self._read_port, "the gateway's record")
        wait_until(self._is_ready, "the gateway is ready")
        if self._wait_for is None or self._wait_for:
            self.wait_up(*(self._wait_for or ()))

    def _run(self, arguments: Iterable[str]) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log, (self.directory / "out").open("ab") as out:
            return subprocess.Popen(
                [*self._wrapper, *_PROGRAM, *arguments],
                env=self._env, cwd=self.directory, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=log,
            )  # fmt: skip

    def _read_port(self) -> int | None:
        self._must_live()
        for record in (self.directory / "run").glob("*/supervisor.json"):
            said = json.loads(record.read_text())
            if said["pid"] == self.pid:
                return int(said["port"])
        return None

    def _is_ready(self) -> bool:
        self._must_live()
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def _is_up(self, wanted: Iterable[str]) -> bool:
        self._must_live()
        try:
            servers = self.status()["servers"]
        except (Failure, OSError):
            return False
        states = {one["id"]: one["state"] for one in servers if one["state"] != "disabled"}
        return all(states[name] == "up" for name in wanted or states)

    def _must_live(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the gateway ended with code {self._process.returncode}")

    @property
    def _log_tail(self) -> str:
        return self.log[-3000:] if (self.directory / "log").exists() else ""

    def _clean_up(self) -> None:
        """Stop the gateway, and kill by its own handle whatever outlives it."""
        if self._process is not None:
            with _handles([self.pid, *descendants(self.pid)]) as handles:
                if self._process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.stop()
                for handle in handles:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
            self._process.wait()
        if self._temporary is not None:
            self._temporary.cleanup()


def _nobody(directory: Path) -> dict[str, str]:
    """Be a user whose home is empty: no configuration of this machine is found."""
    return {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}


@contextlib.contextmanager
def _handles(pids: Iterable[int]) -> Iterator[list[int]]:
    """Open handles on processes: unlike a pid, a handle never comes to mean another process."""
    opened = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            opened.append(os.pidfd_open(pid))
    try:
        yield opened
    finally:
        for handle in opened:
            os.close(handle)
