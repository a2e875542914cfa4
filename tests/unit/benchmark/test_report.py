"""Reports of several processes become one."""

import json

from only1mcp.benchmark.report import Report


def report(ok: int, **failures: int) -> Report:
    """Return a report of so many calls."""
    made = Report(elapsed_s=float(ok), connections=3, unfinished=1, cpu_s=0.5)
    for kind, count in {"ok": ok, **failures}.items():
        for _ in range(count):
            made.record(kind, 0.001, f"the first {kind} of {ok}")
    return made


def test_reports_add_up_also_through_json() -> None:
    """Counts are summed; the time is that of the longest."""
    added = report(10, timeout=2)
    added.add(Report.from_plain(json.loads(json.dumps(report(20, lost=3).to_plain()))))
    assert (added.calls, added.ok.count) == (35, 30)
    assert added.failures == {"timeout": 2, "lost": 3}
    assert added.examples == {"timeout": "the first timeout of 10", "lost": "the first lost of 20"}
    assert (added.connections, added.unfinished, added.cpu_s) == (6, 2, 1.0)
    assert (added.elapsed_s, added.ok_per_second) == (20.0, 1.5)


def test_an_empty_report_answers_all_questions() -> None:
    """When a run is interrupted at once."""
    empty = Report()
    assert (empty.calls, empty.failures, empty.ok_per_second, empty.ok.count) == (0, {}, 0.0, 0)


def test_one_interrupted_process_interrupts_the_whole() -> None:
    """The rate was not kept to the end."""
    whole = Report()
    whole.add(Report(interrupted=True))
    assert whole.interrupted
