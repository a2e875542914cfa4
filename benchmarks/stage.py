"""Programs that are measured, started side by side, and what they cost."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from only1mcp.transports.stdio import descendants

_PATIENCE_S = 60.0
PYTHON = [sys.executable, "-m"]
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000; client_body_buffer_size 1m;
  proxy_buffers 32 16k; proxy_max_temp_file_size 0;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256;
    keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://backend;
    proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def running(command: Sequence[str], port: int, directory: Path | None = None) -> Iterator[int]:
    """Run a program until the end of the block; it listens on the port when the block begins.

    Args:
        command: the program and its arguments.
        port: where it will listen.
        directory: where it runs.

    Raises:
        RuntimeError: it has ended, or does not listen in time.
    """
    with (
        tempfile.TemporaryDirectory(prefix="o1-") as folder,
        (Path(folder) / "log").open("w+") as log,
    ):
        environment = {**os.environ, "ONLY1MCP_RUNTIME_DIR": folder, "ONLY1MCP_HOME": folder}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment,
                                   stdin=subprocess.DEVNULL, cwd=directory)  # fmt: skip
        try:
            _wait_listening(process, port, log.name)
            yield process.pid
        finally:
            _stop(process)


def _wait_listening(process: subprocess.Popen[bytes], port: int, log: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    said = Path(log).read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{process.args!r} does not listen on port {port}:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and whatever it has started."""
    below = [os.pidfd_open(pid) for pid in descendants(process.pid)]
    try:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for handle in below:
            _kill(handle)
    finally:
        for handle in below:
            os.close(handle)


def _kill(handle: int) -> None:
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def echo_backend(size: int, *kind: str) -> Iterator[int]:
    """Run the backend that everything is measured in front of, or a kind of it; yields its port."""
    port = free_port()
    with running([*PYTHON, "benchmarks.echo_backend", str(port), str(size), *kind], port):
        yield port


def cpu_seconds(pid: int, leave_out: str = "") -> float:
    """Return the CPU time of a process and of all below it, but for those that run this module."""
    ticks = 0
    for each in (pid, *descendants(pid)):
        arguments = Path(f"/proc/{each}/cmdline").read_text().split("\0")
        if arguments[1:3] == ["-m", leave_out]:
            continue
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
