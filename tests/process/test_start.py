"""`only1mcp start`: what it says, where it listens, and what it refuses."""

import contextlib
import itertools
import json
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from only1mcp.config.templates import NAMES, read
from only1mcp.supervisor.listeners import PortBusy, open_listeners
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

pytestmark = pytest.mark.first_line

_TIMEOUT_S = 30.0


def _start(gateway: Gateway, *options: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a second `start` that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "only1mcp", "start", *options],
        env={**gateway.env, **env}, cwd=gateway.directory, timeout=_TIMEOUT_S,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def _few_files(count: int) -> Iterator[int]:
    """Let programs that start in this block open few files at first; yields how many they may."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, most))
    try:
        yield most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))


def test_workers_may_open_as_many_files_as_the_machine_allows() -> None:
    """Each connection is a file; the host, whose children inherit the limit, keeps it."""
    with _few_files(200) as most, Gateway(None) as gateway:
        for role, limit in (("worker", most), ("host", 200)):
            found = resource.prlimit(gateway.pids(role)[0], resource.RLIMIT_NOFILE)
            assert found == (limit, most)


@pytest.fixture
def nowhere(tmp_path: Path) -> Gateway:
    """Return a gateway that is not started: its environment holds no configuration."""
    return Gateway(None, directory=tmp_path)


def test_too_few_files_are_refused_before_anything_is_opened(nowhere: Gateway) -> None:
    """With how many there must be, and how to get them."""
    with _few_files(199):
        done = _start(nowhere, "--port", "0")
    assert done.returncode == 1
    assert "cannot run with 199 open files" in done.stderr
    assert "hint: raise the limit, to 200 at least" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("workers", "pure"), [(1, False), (4, False), (2, True)])
def test_without_a_configuration_the_demonstration_runs(workers: int, pure: bool) -> None:
    """On a fresh machine three servers serve, and the banner says where and what to type next."""
    with Gateway(None, workers=workers, pure=pure) as gateway:
        with McpClient(gateway.port) as client:
            assert client.call("demo-calc__add", a=2, b=3) == "5"
            assert "UTC" in client.call("demo-time__now")
            assert "welcome.txt" in client.call("demo-files__list")
        wait_until(lambda: "only1mcp init" in gateway.log, "the banner's last line")
        assert f"workers={workers}" in gateway.log
        assert f"accel={'pure' if pure else 'cython'}" in gateway.log
        assert gateway.url in gateway.log
        assert f"only1mcp tools call demo-time__now --port {gateway.port}" in gateway.log
        assert gateway.out == ""
        assert len(gateway.pids("worker")) == workers


def test_what_the_banner_says_to_type_works() -> None:
    """The command that the banner proposes answers."""
    with Gateway(None) as gateway:
        proposed = wait_until(
            lambda: [line for line in gateway.log.splitlines() if "tools call" in line], "the line"
        )
        words = proposed[0].split()[1:]
        done = subprocess.run(
            [sys.executable, "-m", "only1mcp", *words], env=gateway.env,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["timezone"] == "UTC"


@pytest.mark.parametrize(("options", "env"), [(["--no-demo"], {}), ([], {"ONLY1MCP_DEMO": "0"})])
def test_without_demonstration_a_configuration_is_needed(
    nowhere: Gateway, options: list[str], env: dict[str, str]
) -> None:
    """A container that must not run the demonstration ends with 5 and says how to go on."""
    done = _start(nowhere, "--port", "0", *options, **env)
    assert done.returncode == 5
    assert "no configuration was found" in done.stderr
    assert "hint: write one: only1mcp init" in done.stderr


def test_the_demonstration_can_be_asked_for_beside_a_configuration(tmp_path: Path) -> None:
    """--demo runs the bundled servers whatever the file says."""
    with Gateway(zoo(animal("own", "tame")), options=["--demo"], directory=tmp_path) as gateway:
        ids = [server["id"] for server in gateway.status()["servers"]]
        assert ids == ["demo-time", "demo-files", "demo-calc"]


def test_the_banner_does_not_say_to_write_over_a_configuration(tmp_path: Path) -> None:
    """Beside a configuration that is not used the next step is to use it."""
    (tmp_path / "only1mcp.yaml").write_text("servers: []\n")
    with Gateway(None, options=["--demo"], directory=tmp_path) as gateway:
        wait_until(lambda: "  Next     only1mcp start\n" in gateway.log, "the banner's last line")
        assert "(demonstration: only1mcp.yaml is not used)" in gateway.log
        assert "only1mcp init" not in gateway.log


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--port", "70000"], "--port: proxy.port: input should be less than or equal to 65535"),
        (["--workers", "many"], "--workers: proxy.workers: must be 1 to 64, or auto"),
        (["--host", "0.0.0.0"], "--host: proxy.host: 0.0.0.0 is reachable from other machines"),
    ],
)
def test_an_option_that_cannot_be_is_blamed_by_its_name(
    nowhere: Gateway, options: list[str], problem: str
) -> None:
    """Not as a variable that nobody set, and not at a place in a file that says something else."""
    (nowhere.directory / "only1mcp.yaml").write_text("proxy: {host: 127.0.0.1, port: 0}\n")
    done = _start(nowhere, *options)
    assert done.returncode == 5
    assert done.stderr.startswith(problem)


@pytest.mark.parametrize("template", NAMES)
def test_each_template_starts_and_serves(template: str, tmp_path: Path) -> None:
    """What `init` prints is a configuration that works as it is."""
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    with (
        Gateway(read(template), env=env, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
    ):
        assert "UTC" in client.call("time__now")


def test_the_bundled_servers_need_no_path(tmp_path: Path) -> None:
    """Whoever starts us by our whole path has another Python in PATH, which knows nothing of us."""
    strange = tmp_path / "python3"
    strange.write_text("#!/bin/sh\necho No module named only1mcp >&2\nexit 1\n")
    strange.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with (
        Gateway(read("team"), env=env, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
    ):
        assert "UTC" in client.call("time__now")


def test_port_zero_gives_each_gateway_a_port_of_its_own() -> None:
    """Two gateways beside each other serve on different ports and know their own names."""
    with Gateway(zoo(animal("a", "tame"))) as one, Gateway(zoo(animal("b", "tame"))) as two:
        assert one.port != two.port
        for gateway, tool in ((one, "a__echo"), (two, "b__echo")):
            with McpClient(gateway.port) as client:
                assert tool in client.tools()


def test_a_busy_port_is_refused_with_the_name_of_its_owner(nowhere: Gateway) -> None:
    """A port that another program holds ends the start with 7 and that program's pid."""
    with Gateway(zoo(animal("a", "tame")), workers=2) as owner:
        done = _start(nowhere, "--port", str(owner.port))
        assert done.returncode == 7
        assert f"pid {owner.pid} " in done.stderr
        assert "hint: stop it, or choose another port: --port 0" in done.stderr
        with McpClient(owner.port) as client:
            assert client.call("a__echo", text="still here") == "still here"


def test_a_port_that_a_stranger_holds_is_refused(nowhere: Gateway) -> None:
    """SO_REUSEPORT does not let us share a port with a program that is not ours."""
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        assert _start(nowhere, "--port", str(stranger.getsockname()[1])).returncode == 7


def _race_for(port: int) -> int:
    """Have four threads take a port at the same time; returns how many got it."""
    start, wins = threading.Barrier(4), []

    def race() -> None:
        start.wait()
        with contextlib.suppress(PortBusy):
            wins.append(open_listeners("127.0.0.1", port, 3))

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    for listener in itertools.chain(*wins):
        listener.close()
    return len(wins)


def test_of_many_that_take_a_port_at_once_one_wins() -> None:
    """However close two gateways' starts are, only one of them listens."""
    for _ in range(40):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        assert _race_for(port) == 1


def test_an_address_beyond_this_machine_is_refused(nowhere: Gateway) -> None:
    """Nobody has to authenticate, so listening for other machines needs an explicit word."""
    done = _start(nowhere, "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 5
    assert "0.0.0.0 is reachable from other machines" in done.stderr
    assert "allow_unauthenticated" in done.stderr


def test_an_address_beyond_this_machine_can_be_allowed(tmp_path: Path) -> None:
    """--allow-unauthenticated is that word."""
    options = ["--host", "0.0.0.0", "--allow-unauthenticated"]
    with (
        Gateway(zoo(animal("a", "tame")), options=options, directory=tmp_path) as gateway,
        McpClient(gateway.port) as client,
    ):
        assert client.call("a__echo", text="hello") == "hello"


def test_an_address_of_ipv6_is_written_as_a_url() -> None:
    """On ::1 the banner's address can be copied, and is served."""
    with Gateway(None, host="[::1]") as gateway:
        wait_until(lambda: f"http://[::1]:{gateway.port}/mcp" in gateway.log, "the banner")
        assert gateway.status()["url"] == f"http://[::1]:{gateway.port}/mcp"
        done = gateway.command("tools", "list", "--json", "--port", str(gateway.port))
        assert "demo-time__now" in {tool["name"] for tool in done["data"]}


def test_an_address_that_is_not_ours_is_reported(nowhere: Gateway) -> None:
    """A host that this machine does not have ends the start with an error, not a trace."""
    done = _start(nowhere, "--port", "0", "--host", "192.0.2.1", "--allow-unauthenticated")
    assert done.returncode == 1
    assert "cannot listen on 192.0.2.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runtime_directory_that_cannot_be_used_is_reported(
    nowhere: Gateway, tmp_path: Path
) -> None:
    """Too long a name for unix sockets, a file in the way, or a link to somewhere else."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for place in (tmp_path / ("x" * 100), tmp_path / "file", tmp_path / "link"):
        done = _start(nowhere, "--port", "0", ONLY1MCP_RUNTIME_DIR=str(place))
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "hint: set ONLY1MCP_RUNTIME_DIR" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", ["0", "65", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(nowhere: Gateway, workers: str) -> None:
    """Between one and sixty-four, or auto."""
    done = _start(nowhere, "--port", "0", "--workers", workers)
    assert done.returncode == 5
    assert "--workers: proxy.workers: " in done.stderr


def test_a_configuration_that_is_not_valid_ends_the_start(nowhere: Gateway) -> None:
    """Every problem stands with its place, and nothing is started."""
    nowhere.configure('version: "1.0"\nproxy:\n  wrokers: 2\n')
    done = _start(nowhere, "--config", "config.yaml")
    assert done.returncode == 5
    assert 'config.yaml:3:3: proxy.wrokers: unknown key. Did you mean "workers"?' in done.stderr
