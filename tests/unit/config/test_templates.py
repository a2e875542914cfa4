"""The configurations to begin with work as they are."""

import re
from pathlib import Path

import pytest

from only1mcp.config import templates
from tests.support.configuration import problems_of, settings_of

FOLDER = Path(templates.__file__).parent / "templates"
REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("name", templates.NAMES)
def test_a_template_loads_without_any_variable_set(name: str) -> None:
    """A newcomer has set none."""
    text = templates.read(name)
    assert problems_of(text) == []
    assert settings_of(text).servers[0].id == "time"


def test_every_template_has_a_name_and_every_name_a_template() -> None:
    """None is forgotten on either side."""
    assert {path.stem for path in FOLDER.iterdir()} == set(templates.NAMES)


@pytest.mark.parametrize("name", templates.NAMES)
def test_the_templates_stand_in_the_repository_s_config_folder_too(name: str) -> None:
    """Where people look for examples."""
    assert (REPOSITORY / "config" / "templates" / f"{name}.yaml").read_text() == templates.read(
        name
    )


@pytest.mark.parametrize("number", range(2))
def test_the_examples_of_the_routing_guide_are_valid(number: int) -> None:
    """Whoever copies one has a gateway that starts."""
    guide = (REPOSITORY / "docs" / "routing.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert len(examples) == 2
    assert problems_of(examples[number]) == []
