"""The text format, judged by Prometheus' own parser."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from only1mcp.observability.exposition import Family, text_of

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x85\u2028\u2029"))


@given(TEXTS, st.floats(allow_nan=False), st.integers(0, 2**64))
def test_any_label_and_any_number_is_read_as_it_was_told(
    label: str, value: float, count: int
) -> None:
    """Quotes, line ends, backslashes and signs of every script."""
    gauge = Family("gauge", "a_gauge", "What it is.", ("one", "two"))
    gauge.add(["x", label], value)
    gauge.add([label, "y"], count)
    [family] = text_string_to_metric_families(text_of([gauge]).decode())
    told = [(sample.labels, sample.value) for sample in family.samples]
    assert told == [({"one": "x", "two": label}, value), ({"one": label, "two": "y"}, float(count))]


@given(TEXTS.filter(lambda text: text.strip() == text))
def test_any_help_is_read_as_it_was_told(text: str) -> None:
    """It stands on one line, whatever it is."""
    [family] = text_string_to_metric_families(text_of([Family("gauge", "a", text)]).decode())
    assert family.documentation == text


def test_each_kind_has_the_names_that_prometheus_expects() -> None:
    """A counter's end in _total, an information's in _info; a histogram has three of them."""
    counter = Family("counter", "calls", "Calls.", ("method",))
    counter.add(["x"], 3)
    info = Family("info", "build", "What runs.")
    info.add_info({"version": "1"})
    histogram = Family("histogram", "took_seconds", "How long.", ("method",))
    histogram.add_histogram(["x"], [("0.1", 2), ("+Inf", 5)], 1.5)
    assert text_of([counter, info, histogram]).decode() == (
        "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
        'calls_total{method="x"} 3.0\n'
        "# HELP build_info What runs.\n# TYPE build_info gauge\n"
        'build_info{version="1"} 1.0\n'
        "# HELP took_seconds How long.\n# TYPE took_seconds histogram\n"
        'took_seconds_bucket{method="x",le="0.1"} 2.0\n'
        'took_seconds_bucket{method="x",le="+Inf"} 5.0\n'
        'took_seconds_count{method="x"} 5.0\n'
        'took_seconds_sum{method="x"} 1.5\n'
    )
