"""What `benchmark` prints: percentiles and a histogram, for a person or as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from only1mcp.benchmark.histogram import Histogram
from only1mcp.benchmark.plan import Plan
from only1mcp.benchmark.report import Report
from only1mcp.cli.output import print_table

_PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)
_STEPS = (1, 2, 5)
_BAR = 40
_LATE_US = 1000


def plain_report(plan: Plan, report: Report) -> dict[str, Any]:
    """Return the report as data for programs."""
    return {
        "plan": {name: value for name, value in asdict(plan).items() if name != "key"},
        "calls": report.calls,
        "ok": report.ok.count,
        "failures": {
            kind: {
                "count": count,
                "example": report.examples.get(kind, ""),
                "latency_from_sending_ms": _summary(report.refusals.get(kind, Histogram())),
            }
            for kind, count in report.failures.items()
        },
        "unfinished": report.unfinished,
        "interrupted": report.interrupted,
        "elapsed_s": round(report.elapsed_s, 3),
        "ok_per_second": round(report.ok_per_second, 1),
        "connections": report.connections,
        "generator_cpu_us_per_call": round(report.cpu_s / max(report.calls, 1) * 1e6, 1),
        "latency_ms": _summary(report.ok),
        "latency_from_sending_ms": _summary(report.service),
        "sent_late_ms": _summary(report.lateness),
        "histogram": [
            {"from_ms": low / 1000, "to_ms": high / 1000, "count": count}
            for low, high, count in report.ok.buckets()
        ],
    }


def _summary(histogram: Histogram) -> dict[str, float]:
    percentiles = {f"p{p:g}": histogram.percentile_us(p) / 1000 for p in _PERCENTILES}
    ends = {"min": histogram.min_us if histogram.count else 0, "max": histogram.max_us}
    return {
        **percentiles, **{name: us / 1000 for name, us in ends.items()},
        "mean": round(histogram.mean_us / 1000, 3),
    }  # fmt: skip


def print_report(plan: Plan, report: Report) -> None:
    """Print the report for a person."""
    what = f"tools/call {plan.tool}" if plan.tool else "tools/list"
    click.echo(f"{what} at {plan.url}, {plan.era}{', interrupted' if report.interrupted else ''}")
    click.echo(
        f"{report.ok.count} of {report.calls} calls answered well in {report.elapsed_s:.1f} s, "
        f"{report.ok_per_second:.0f} a second of {plan.rate:g} wanted, "
        f"on {report.connections} connections"
        + (f"; {report.unfinished} were under way" if report.unfinished else "")
    )
    click.echo()
    names = [f"p{percent:g}" for percent in _PERCENTILES]
    rows = [
        (name, *(_ms(value) for value in _summary(histogram).values()))
        for name, histogram in (("from when due", report.ok), ("from sending", report.service))
    ]
    print_table(("LATENCY (ms)", *names, "min", "max", "mean"), rows)
    click.echo()
    print_table(("BETWEEN (ms)", "CALLS", "SHARE", ""), list(_bars(report.ok)))
    for kind, count in report.failures.items():
        click.echo(f"\n{count} calls failed: {kind}. The first of them: {report.examples[kind]}")
    _warn(report)


def _bars(histogram: Histogram) -> Iterator[tuple[str, str, str, str]]:
    """Gather the fine buckets into those of 1, 2, 5, 10, 20, 50 ... microseconds."""
    gathered: dict[int, int] = {}
    for low, _, count in histogram.buckets():
        step = _step_below(low)
        gathered[step] = gathered.get(step, 0) + count
    most = max(gathered.values(), default=1)
    for step, count in sorted(gathered.items()):
        share = f"{100 * count / histogram.count:.2f} %"
        bar = "#" * max(round(_BAR * count / most), 1)
        yield f"{_ms(step / 1000)} - {_ms(_step_above(step) / 1000)}", str(count), share, bar


def _step_below(us: int) -> int:
    decade = 10 ** (len(str(us)) - 1)
    return max((step * decade for step in _STEPS if step * decade <= us), default=0)


def _step_above(step: int) -> int:
    first = int(str(step)[0])
    return {0: 1, 1: step * 2, 2: step // 2 * 5, 5: step * 2}[first]


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _warn(report: Report) -> None:
    late = report.lateness.percentile_us(50)
    if late > _LATE_US:
        click.echo(
            f"warning: half of the calls were sent {_ms(late / 1000)} ms late or more. "
            "hint: a lower --rate, more --processes, or a server that keeps up",
            err=True,
        )
