"""The listening sockets of all workers on one port, which nobody else can have."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from only1mcp.supervisor.listeners import PortBusy, open_listeners, port_owner
from tests.support.ports import free_port

HOLD = """
import socket, sys
sock = socket.create_server(("127.0.0.1", 0), reuse_port="shared" in sys.argv)
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def holding_port(*arguments: str | bytes) -> Iterator[tuple[int, int]]:
    """Hold a port from another process; yields its pid and the port."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("count", [1, 4])
def test_all_sockets_share_one_port(count: int) -> None:
    """And all of them get connections."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(sock) for sock in open_listeners("127.0.0.1", 0, count)]
        ports = {sock.getsockname()[1] for sock in listeners}
        assert len(listeners) == count
        assert len(ports) == 1
        for _ in range(50 * count):
            stack.enter_context(socket.create_connection(("127.0.0.1", *ports)))
        for listener in listeners:
            connection, _ = listener.accept()
            connection.close()


def test_a_chosen_port_is_kept() -> None:
    """And can be had again right after."""
    port = free_port()
    for _ in range(3):
        for sock in open_listeners("127.0.0.1", port, 2):
            assert sock.getsockname()[1] == port
            sock.close()


def test_ipv6_is_understood() -> None:
    """By the address alone."""
    for sock in open_listeners("::1", 0, 2):
        assert sock.family is socket.AF_INET6
        sock.close()


@pytest.mark.parametrize("arguments", [[], ["shared"]], ids=["alone", "shared"])
def test_a_busy_port_names_its_owner(arguments: list[str]) -> None:
    """By pid and command, even if the owner would share it."""
    with holding_port(*arguments) as (pid, port):
        with pytest.raises(PortBusy) as caught:
            open_listeners("127.0.0.1", port, 2)
        assert f"127.0.0.1:{port} is in use by pid {pid}" in str(caught.value)
        assert sys.executable in str(caught.value)


def test_another_gateway_of_ours_is_as_much_in_the_way_as_anybody() -> None:
    """Though its sockets are ready to be shared."""
    listeners = open_listeners("127.0.0.1", 0, 2)
    with pytest.raises(PortBusy, match=f"by pid {os.getpid()}"):
        open_listeners("127.0.0.1", listeners[0].getsockname()[1], 1)
    for sock in listeners:
        sock.close()


def test_an_owner_with_an_odd_command_line_is_named_all_the_same() -> None:
    """It need not be text."""
    with holding_port(b"\xff") as (pid, port):
        owner = port_owner(port)
    assert owner is not None
    assert owner.startswith(f"pid {pid} (")


def test_a_free_port_has_no_owner() -> None:
    """Nor has one that is only connected from."""
    assert port_owner(free_port()) is None
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert port_owner(client.getsockname()[1]) is None


def test_an_address_that_is_not_ours_is_an_error_of_its_own() -> None:
    """The port is not to blame."""
    with pytest.raises(OSError, match=r"assign|known|resolution") as caught:
        open_listeners("192.0.2.1", 0, 1)
    assert not isinstance(caught.value, PortBusy)
