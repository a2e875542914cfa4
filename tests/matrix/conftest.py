"""Runs the pairs of each behaviour side by side.

A behaviour is a coroutine with one test for each pair. When the first of them is due, all that were
selected are run on one loop, and each test reports what became of its own: the pairs spend most of
their time waiting for other processes, and clients that are served at the same time find what
clients that are served one after the other do not.
"""

import asyncio
import inspect
from collections.abc import Iterator

import pytest
import uvloop

from tests.matrix.stage import Stage

_AT_ONCE = 16
_PATIENCE_S = 60.0
"""Enough for a loaded machine; nothing waits this long unless it is broken."""
Outcome = BaseException | None


class Company:
    """The loop on which behaviours run, and their outcomes."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._outcomes: dict[str, Outcome] = {}

    def outcome(self, item: pytest.Function) -> Outcome:
        """Return how a test ended, which is run now with its siblings if it was not yet."""
        if item.nodeid not in self._outcomes:
            siblings = [
                one for one in item.session.items
                if isinstance(one, pytest.Function) and one.function is item.function
            ]  # fmt: skip
            self._runner.run(self._run_all(siblings))
        return self._outcomes[item.nodeid]

    async def _run_all(self, items: list[pytest.Function]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(self._run(item, gate))

    async def _run(self, item: pytest.Function, gate: asyncio.Semaphore) -> None:
        arguments = {"stage": self._stage, **item.callspec.params}
        async with gate:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await item.function(**arguments)
            except Exception as error:  # noqa: BLE001 - the test that it belongs to raises it
                self._outcomes[item.nodeid] = error
            else:
                self._outcomes[item.nodeid] = None

    def close(self) -> None:
        """Let the clients leave and end the loop."""
        self._runner.run(self._stage.close())
        self._runner.close()


@pytest.fixture(scope="session")
def company() -> Iterator[Company]:
    """Set the stage, for all tests of the matrix."""
    with Stage() as stage:
        company = Company(stage)
        yield company
        company.close()


@pytest.fixture(scope="session")
def stage(company: Company) -> Company:
    """Stand for the stage, which behaviours get when they are run together."""
    return company


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Report the outcome of a behaviour; leave other tests to pytest."""
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    company = pyfuncitem.funcargs["stage"]
    assert isinstance(company, Company)
    error = company.outcome(pyfuncitem)
    if error is not None:
        raise error
    return True


def pytest_configure(config: pytest.Config) -> None:
    """Make our marker known."""
    config.addinivalue_line("markers", "behaviour(name): what a test of the matrix tries")
