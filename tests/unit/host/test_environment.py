"""What a child inherits: a short list, and what is declared for it."""

from only1mcp.host.environment import INHERITED, child_environment


def test_only_the_listed_names_are_inherited() -> None:
    """No token of ours, no setting of our interpreter."""
    ours = {
        "PATH": "/bin",
        "HOME": "/h",
        "OPENAI_API_KEY": "s",
        "PYTHONPATH": "/x",
        "LD_PRELOAD": "y",
    }
    assert child_environment([], ours) == {"PATH": "/bin", "HOME": "/h"}


def test_what_is_declared_wins_and_may_be_anything() -> None:
    """Also over what would be inherited."""
    declared = [("PATH", "/mine"), ("PYTHONPATH", "/declared"), ("EMPTY", "")]
    assert child_environment(declared, {"PATH": "/bin", "TZ": "UTC"}) == {
        "PATH": "/mine", "TZ": "UTC", "PYTHONPATH": "/declared", "EMPTY": "",
    }  # fmt: skip


def test_the_list_holds_nothing_that_could_be_secret() -> None:
    """Where things are, who we are, how to speak."""
    assert set(INHERITED) == {
        "HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
    }  # fmt: skip
