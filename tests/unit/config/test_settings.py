"""Settings travel between processes, and keep secrets to themselves."""

import json

import pytest

from only1mcp.config.problems import ConfigInvalid
from only1mcp.config.settings import Settings
from tests.support.configuration import problems_of, settings_of

SECRET = "s3cr3t-value"
WHOLE = f"""\
version: "1.0"
proxy:
  host: 127.0.0.1
  port: 0
  workers: 2
  allowed_hosts: [a.org]
  allowed_origins: ["https://a.org"]
  limits: {{max_body: 1MiB, header_timeout: 3s}}
log: {{level: debug, format: json}}
servers:
- id: files
  command: python3
  args: ["-m", "é"]
  env: {{API_KEY: {SECRET}}}
- id: search
  instances: [{{url: "http://127.0.0.1:9/mcp", weight: 3}}, {{url: "http://127.0.0.1:8/mcp"}}]
  headers: {{X-Key: {SECRET}}}
  auth: {{type: bearer, token: {SECRET}}}
- {{id: idle, command: python3, enabled: false}}
"""


@pytest.mark.parametrize("text", ["", WHOLE])
def test_settings_survive_the_way_to_another_process(text: str) -> None:
    """Through JSON and back they are equal, types included."""
    settings = settings_of(text)
    again = Settings.from_plain(json.loads(json.dumps(settings.to_plain())))
    assert again == settings
    assert hash(again) == hash(settings)


def test_the_secrets_do_reach_the_servers() -> None:
    """Otherwise hiding them would be easy."""
    files, search = settings_of(WHOLE).servers
    assert dict(files.env) == {"API_KEY": SECRET}
    assert dict(search.headers) == {"X-Key": SECRET, "Authorization": f"Bearer {SECRET}"}


def test_no_secret_stands_in_the_text_of_settings() -> None:
    """A log line or a traceback may print them."""
    settings = settings_of(WHOLE)
    assert SECRET not in str(settings) + repr(settings)
    assert all(SECRET not in str(server) + repr(server) for server in settings.servers)


BROKEN = [
    WHOLE.replace("port: 0", "port: many"),
    WHOLE.replace("id: search", "id: files"),
    WHOLE.replace(f"{{API_KEY: {SECRET}}}", f"[{SECRET}]"),
    WHOLE.replace(f"{{API_KEY: {SECRET}}}", f"{{API_KEY: [{SECRET}]}}"),
    WHOLE.replace(f"{{X-Key: {SECRET}}}", f'{{X-Key: "{SECRET}\\n"}}'),
    WHOLE.replace("type: bearer", "type: basic"),
    WHOLE.replace("type: bearer", "tipe: bearer"),
    WHOLE.replace(f"token: {SECRET}", f"token: [{SECRET}]"),
    WHOLE.replace(f"token: {SECRET}", f"token: {SECRET}]"),
    WHOLE.replace(f"auth: {{type: bearer, token: {SECRET}}}", f"auth: {SECRET}"),
]


@pytest.mark.parametrize("text", BROKEN, ids=[str(i) for i in range(len(BROKEN))])
def test_no_secret_stands_in_what_is_said_of_a_broken_file(text: str) -> None:
    """Problems are printed, logged and sent to the admin API."""
    with pytest.raises(ConfigInvalid) as caught:
        settings_of(text)
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert all(SECRET not in json.dumps(problem.to_plain()) for problem in caught.value.problems)


def test_no_secret_of_the_environment_stands_in_what_is_said() -> None:
    """Substituted values are as secret as written ones."""
    text = "servers:\n- id: a\n  url: http://h/\n  headers: {X: '${S}'}\n  timeout: ${S}\n"
    said = problems_of(text, environment={"S": SECRET})
    assert said
    assert SECRET not in "".join(said)


def test_servers_keep_their_slots_when_others_come_and_go() -> None:
    """Also one that was away for a time; the numbers grow by one."""

    def following(before: Settings | None, *ids: str) -> Settings:
        servers = ", ".join(f"{{id: {one}, url: 'http://{one}/'}}" for one in ids)
        return settings_of(f"servers: [{servers}]").following(before)

    first = following(None, "a", "b")
    second = following(first, "c", "b")
    third = following(second, "a")
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert first.slot_of == {"a": 0, "b": 1}
    assert second.slot_of == {"b": 1, "c": 2}
    assert third.slot_of == {"a": 0}
    assert third.slots == ("a", "b", "c")
    assert Settings.from_plain(json.loads(json.dumps(third.to_plain()))) == third
