"""Keys in the file: what is compiled of them, and what is wrong with others."""

import hashlib
import json

import pytest

from only1mcp.auth.principal import Key
from only1mcp.config.settings import Settings
from only1mcp.resilience.limiter import Rate
from tests.support.configuration import problems_of, settings_of

SERVER = "servers: [{id: files, command: python3}]\n"
HASH = "sha256:" + "ab" * 32
SECRET = "o1_0123456789abcdefghijklmnop"
WHOLE = (
    SERVER
    + f"""\
auth:
  keys:
    - {{id: ann, hash: "{HASH}"}}
    - id: bob
      key_env: BOB
      servers: [files, "x*"]
      tools: ["files__r?"]
      admin: true
      rate_limit: {{requests: 5, per: 1s, burst: 2}}
proxy: {{host: 0.0.0.0, rate_limit: {{enabled: true, requests: 7, per: 2m}}}}
"""
)


def one(key: str) -> str:
    """Write a configuration with one key on its fourth line."""
    return f"{SERVER}auth:\n  keys:\n    - {key}\n"


def test_keys_are_compiled_with_all_that_belongs_to_them() -> None:
    """And with any of them the gateway may listen to other machines."""
    settings = settings_of(WHOLE, environment={"BOB": SECRET})
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    assert settings.keys == (
        Key("ann", "ab" * 32),
        Key("bob", digest, ("files", "x*"), ("files__r?",), Rate(5, 1.0, 2), is_admin=True),
    )
    assert settings.rate == Rate(7, 120.0, 7)
    assert Settings.from_plain(json.loads(json.dumps(settings.to_plain()))) == settings


def test_a_key_keeps_its_place_when_others_come_and_go() -> None:
    """Its bucket and its counters are where they were."""
    first = settings_of(WHOLE, environment={"BOB": SECRET}).following(None)
    assert first.client_places == {"ann": 1, "bob": 2}
    assert first.client_ids == ("", "ann", "bob")
    alone = settings_of(one(f'{{id: bob, hash: "{HASH}"}}')).following(first)
    assert alone.client_places == {"bob": 2}
    assert alone.client_ids == ("", "", "bob")
    back = settings_of(WHOLE, environment={"BOB": SECRET}).following(alone)
    assert back.client_places == first.client_places
    assert settings_of(SERVER).following(first).client_ids == ("anonymous",)


PROBLEMS = [
    ("{id: a}", "auth.keys[0]: hash and key_env are both missing"),
    (f'{{id: a, hash: "{HASH}", key_env: X}}', "auth.keys[0]: hash and key_env exclude each other"),
    ("{id: a, hash: abc}", "write sha256: and 64 hexadecimal digits"),
    ('{id: a, key: "x"}', 'auth.keys[0].key: unknown key'),
    ("{id: a, key_env: NOPE}", "auth.keys[0].key_env: ${NOPE} is not set"),
    ("{id: a, key_env: SHORT}", "${SHORT} can be guessed"),
    ("{id: a, key_env: SAME}", "${SAME} can be guessed"),
    ("{id: a, key_env: ODD}", "${ODD} has characters that no header may bring"),
    (f'{{id: a, hash: "{HASH}", servers: [file]}}', 'Did you mean "files"?'),
    (f'{{id: a, hash: "{HASH}", servers: [zzz]}}', "no server is called 'zzz'"),
    (f'{{id: a, hash: "{HASH}", rate_limit: {{requests: 0}}}}', "rate_limit.requests"),
    (f'{{id: a, hash: "{HASH}"}}\n    - {{id: a, hash: "{"sha256:" + "c" * 64}"}}',
     "id 'a' stands twice"),
    (f'{{id: a, hash: "{HASH}"}}\n    - {{id: b, hash: "{HASH}"}}',
     "is the same key as another"),
]  # fmt: skip
ENVIRONMENT = {"SHORT": "abcdefghij123456789", "SAME": "ab" * 30, "ODD": "é" + SECRET}


@pytest.mark.parametrize(("key", "said"), PROBLEMS, ids=map(str, range(len(PROBLEMS))))
def test_what_is_wrong_with_a_key_is_said_at_its_place_and_without_it(key: str, said: str) -> None:
    """With a line, and never with what the key is."""
    problems = problems_of(one(key), environment=ENVIRONMENT)
    assert len(problems) == 1
    assert said in problems[0]
    assert problems[0].startswith(("c.yaml:4:", "c.yaml:5:"))
    assert not any(secret in problems[0] for secret in ENVIRONMENT.values())
