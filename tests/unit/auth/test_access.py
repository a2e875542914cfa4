"""Credentials in, principals out; everything else is refused."""

import hashlib
import random

import pytest

from only1mcp.auth.access import MAX_BYTES, Access
from only1mcp.auth.grant import Grant
from only1mcp.auth.principal import ANYONE, Key, Principal
from only1mcp.errors import Unauthenticated
from only1mcp.resilience.limiter import Rate

ALICE, BOB = "o1_alice-key_0123456789.~+/", "o1_bob-key-0123456789=="
RATE = Rate(5, 60.0, 5)


def digest(key: str) -> str:
    """Return what configuration holds of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def access(revoked: list[int] | None = None) -> Access:
    """Let alice and bob in."""
    keys = [
        Key("alice", digest(ALICE), servers=("a",), is_admin=True),
        Key("bob", digest(BOB), tools=("b__*",), rate=Rate(1, 1.0, 1)),
    ]
    subject = Access([0] if revoked is None else revoked)
    subject.follow(keys, RATE, {"alice": 7, "bob": 9})
    return subject


def test_a_key_stands_for_its_owner_with_all_that_belongs_to_them() -> None:
    """Grant, rate, bucket and number."""
    assert access().admit([f"Bearer {ALICE}"]) == Principal(
        "alice", 7, Grant(("a",)), RATE, is_admin=True
    )
    assert access().admit([f"bearer   {BOB}"]) == Principal(
        "bob", 9, Grant(tools=("b__*",)), Rate(1, 1.0, 1)
    )


@pytest.mark.parametrize(
    "sent",
    [
        [], [""], ["Bearer"], ["Bearer "], [ALICE], [f"Basic {ALICE}"], [f"Bearer {ALICE.upper()}"],
        [f"Bearer {ALICE.lower()}x"], [f"Bearer {ALICE} "], [f" Bearer {ALICE}"],
        [f"Bearer\t{ALICE}"], [f"Bearer {ALICE}, Bearer {BOB}"], [f"Bearer {ALICE}\n"],
        [f"Bearer {ALICE}", f"Bearer {ALICE}"], [f"Bearer {ALICE}", f"Bearer {BOB}"],
        [f'Bearer "{ALICE}"'], [f"Bearer {ALICE[:-1]}"], [f"Bearer {digest(ALICE)}"],
        [f"Bearer sha256:{digest(ALICE)}"], [f"Bearer {ALICE}" + "A" * MAX_BYTES],
        [f"Bearer{ALICE}"], [f"Bearer {BOB}="], ["Bearer \xe9"], ["Bearer \ud800"],
    ],
)  # fmt: skip
def test_what_is_not_exactly_a_key_of_ours_is_refused(sent: list[str]) -> None:
    """With a challenge that says an error only if anything was sent."""
    with pytest.raises(Unauthenticated) as caught:
        access().admit(sent)
    ((name, challenge),) = caught.value.headers
    assert name == "WWW-Authenticate"
    assert challenge.startswith('Bearer realm="only1mcp"')
    assert ('error="invalid_token"' in challenge) == bool(sent)


def test_nothing_that_is_made_up_comes_in() -> None:
    """Ten thousand headers of the letters that real ones are made of."""
    chance, subject = random.Random(4), access()
    letters = f'Bearer {ALICE}{BOB}\t,"='
    for _ in range(10_000):
        header = "".join(chance.choices(letters, k=chance.randrange(60)))
        with pytest.raises(Unauthenticated):
            subject.admit([header if chance.random() < 0.5 else f"Bearer {header}"])


def test_without_keys_anyone_comes_in_whatever_they_send() -> None:
    """A client may send credentials that nobody asked for."""
    subject = Access()
    subject.follow((), RATE, {})
    for sent in ([], ["Bearer x"], ["a", "b"]):
        assert subject.admit(sent) == Principal("", rate=RATE)
    assert subject.check(subject.anyone).id == ""


def test_a_principal_that_no_door_has_let_in_is_stopped() -> None:
    """A door that forgot to ask is found out."""
    subject = access()
    for stranger in (ANYONE, Principal("mallory"), Principal("")):
        with pytest.raises(Unauthenticated):
            subject.check(stranger)
    with pytest.raises(Unauthenticated):
        Access().check(Principal("alice"))
    assert subject.check(Principal("alice")).is_admin


def test_what_another_worker_has_let_in_is_known_by_name() -> None:
    """With the rights that it has here; a name that is gone is gone."""
    assert access().forwarded("bob").grant == Grant(tools=("b__*",))
    for name in ("", "mallory"):
        with pytest.raises(Unauthenticated):
            access().forwarded(name)
    assert Access().forwarded("") == ANYONE
    with pytest.raises(Unauthenticated):
        Access().forwarded("alice")


def test_what_is_remembered_goes_when_credentials_are_revoked() -> None:
    """And is looked at again."""
    revoked = [0]
    subject = access(revoked)
    first = subject.admit([f"Bearer {ALICE}"])
    subject._principals.clear()
    subject._principals[b"x" * 32] = first
    assert subject.admit([f"Bearer {ALICE}"]) is first
    revoked[0] += 1
    with pytest.raises(Unauthenticated):
        subject.admit([f"Bearer {ALICE}"])


def test_other_keys_are_in_force_at_once() -> None:
    """For whoever comes, and whoever was let in before."""
    subject = access()
    before = subject.admit([f"Bearer {ALICE}"])
    subject.follow([Key("alice", digest(BOB), servers=("c",))], None, {"alice": 7})
    with pytest.raises(Unauthenticated):
        subject.admit([f"Bearer {ALICE}"])
    assert subject.admit([f"Bearer {BOB}"]).id == "alice"
    assert subject.check(before).grant == Grant(("c",))
    subject.follow([], None, {})
    with pytest.raises(Unauthenticated):
        subject.check(before)


def test_no_key_and_no_hash_stands_in_the_text_of_anything() -> None:
    """A traceback may print it."""
    key = Key("alice", digest(ALICE))
    assert digest(ALICE) not in repr(key)
    with pytest.raises(Unauthenticated) as caught:
        access().admit([f"Bearer {ALICE}x"])
    assert ALICE not in repr(caught.value) + str(caught.value.hint)
