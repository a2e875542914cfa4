"""Who may speak to us, by Host and Origin."""

import pytest

from only1mcp.errors import Forbidden
from only1mcp.ingress.origin import MisdirectedHost, OriginCheck

CHECK = OriginCheck(["gw.example.org", "::1:2", "Mixed.Example"], ["https://app.example.com/"])

HOSTS = ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "127.0.0.1:80", "[::1]",
         "[::1]:8080", "gw.example.org", "gw.example.org:443", "GW.Example.Org", "mixed.example",
         "[::1:2]:80"]  # fmt: skip
FOREIGN_HOSTS = ["", "evil.example.com", "localhost.evil.example.com", "127.0.0.1.nip.io",
                 "evil.example.com:80", "gw.example.org.", "xgw.example.org", "::1", "[::1",
                 "[::1]evil", "[::1]:x", "localhost:80:90", "localhost:", "localhost@evil",
                 "evil@localhost", "localhost/x", "127.0.0.2", "0.0.0.0", "2130706433",
                 "localhost\udcff", " localhost", "localhost:123456"]  # fmt: skip
ORIGINS = [None, "http://localhost", "http://localhost:5173", "https://127.0.0.1:1",
           "http://[::1]:3000", "HTTP://LOCALHOST", "https://gw.example.org",
           "https://app.example.com", "HTTPS://APP.example.com"]  # fmt: skip
FOREIGN_ORIGINS = ["", "null", "http://evil.example.com", "https://app.example.com:444",
                   "http://app.example.com", "https://app.example.com.evil.org",
                   "http://localhost.evil.org", "http://localhost@evil.org",
                   "http://localhost:80@evil.org", "http://evil.org@localhost", "file://",
                   "chrome-extension://abcdef", "ftp://localhost", "localhost", "//localhost",
                   "http://", "http://[", "http://[::1]evil", "http://[::1", "http://localhost/",
                   "http://localhost http://evil.org", "http://localhost\udcff",
                   "javascript:alert(1)"]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_our_own_names_are_accepted(host: str) -> None:
    """Loopback always, others as configured, with any port, in any case."""
    CHECK.check(host, None)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_another_host_is_misdirected(host: str) -> None:
    """A web page that makes its own name point to this machine gets nothing."""
    with pytest.raises(MisdirectedHost) as caught:
        CHECK.check(host, None)
    assert caught.value.http_status == 421
    assert caught.value.hint == "add it to proxy.allowed_hosts"


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_ours_and_allowed_ones_may_call(origin: str | None) -> None:
    """And whoever is no web page: programs send no Origin."""
    CHECK.check("localhost:8080", origin)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_pages_of_other_origins_may_not(origin: str) -> None:
    """Whatever they write there, malformed addresses included."""
    with pytest.raises(Forbidden) as caught:
        CHECK.check("localhost:8080", origin)
    assert caught.value.http_status == 403


def test_the_host_is_judged_before_the_origin() -> None:
    """A rebound name fails even with the right origin."""
    with pytest.raises(MisdirectedHost):
        CHECK.check("evil.example.com", "http://localhost")


def test_what_a_stranger_sends_is_cut_and_escaped_in_the_message() -> None:
    """It stands in answers and logs."""
    for host, origin in (("x\udcff\n" * 1000, None), ("localhost", "y\udcff\n" * 1000)):
        with pytest.raises(Forbidden) as caught:
            CHECK.check(host, origin)
        assert len(str(caught.value)) < 1000
        assert str(caught.value).isprintable()
