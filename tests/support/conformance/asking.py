"""Tools that ask the client something before they answer."""

import json

from tests.support.conformance.call import Call, form, roots, sample
from tests.support.conformance.content import Block, text
from tests.support.conformance.offer import Tools, arguments

TOOLS = Tools()

_TEXT = {"type": "string"}
_NAME = form("What is your name?", ("name",), name=_TEXT)
_CONFIRM = form("Please confirm", ("ok",), ok={"type": "boolean"})
_DEFAULTS = form(
    "Please review and update the form fields with defaults",
    name={"type": "string", "default": "John Doe"},
    age={"type": "integer", "default": 30},
    score={"type": "number", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "default": True},
)
_OPTIONS = ["option1", "option2", "option3"]
_TITLED = [{"const": f"value{number}", "title": f"Option {number}"} for number in (1, 2, 3)]
_ENUMS = form(
    "Please select options",
    untitledSingle={"type": "string", "enum": _OPTIONS},
    titledSingle={"type": "string", "oneOf": _TITLED},
    legacyEnum={
        "type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]
    },
    untitledMulti={"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
    titledMulti={"type": "array", "items": {"anyOf": _TITLED}},
)  # fmt: skip


@TOOLS.tool("test_sampling", arguments(prompt=_TEXT))
async def sampling(call: Call) -> list[Block]:
    """Have the client's model answer a prompt."""
    answers = await call.ask({"sample": sample(call.arguments["prompt"])})
    return [text(f"LLM response: {answers['sample']['content']['text']}")]


@TOOLS.tool("test_elicitation", arguments(message=_TEXT))
async def elicitation(call: Call) -> list[Block]:
    """Ask the user for a name and an address."""
    required = ("username", "email")
    question = form(call.arguments["message"], required, username=_TEXT, email=_TEXT)
    answers = await call.ask({"user": question})
    return [text(f"User response: {json.dumps(answers['user'])}")]


@TOOLS.tool("test_elicitation_sep1034_defaults")
async def elicitation_defaults(call: Call) -> list[Block]:
    """Ask the user with a default for every kind of field."""
    answers = await call.ask({"form": _DEFAULTS})
    return [text(f"Elicitation completed: {json.dumps(answers['form'])}")]


@TOOLS.tool("test_elicitation_sep1330_enums")
async def elicitation_enums(call: Call) -> list[Block]:
    """Ask the user with every kind of choice."""
    answers = await call.ask({"form": _ENUMS})
    return [text(f"Elicitation completed: {json.dumps(answers['form'])}")]


@TOOLS.tool("test_streaming_elicitation")
async def streaming_elicitation(call: Call) -> list[Block]:
    """Ask the user between two reports of progress."""
    await call.progress(0, 2)
    answers = await call.ask({"confirm": _CONFIRM})
    await call.progress(2, 2)
    return [text(f"User response: {json.dumps(answers['confirm'])}")]


@TOOLS.tool("test_input_required_result_elicitation")
async def input_elicitation(call: Call) -> list[Block]:
    """Greet the user by the name that was asked for."""
    answers = await call.ask({"user_name": _NAME})
    return [text(f"Hello, {answers['user_name'].get('content', {}).get('name')}!")]


@TOOLS.tool("test_input_required_result_sampling")
async def input_sampling(call: Call) -> list[Block]:
    """Pass on what the client's model said."""
    answers = await call.ask({"capital_question": sample("What is the capital of France?")})
    return [text(answers["capital_question"]["content"]["text"])]


@TOOLS.tool("test_input_required_result_list_roots")
async def input_list_roots(call: Call) -> list[Block]:
    """Name the client's roots."""
    answers = await call.ask({"client_roots": roots()})
    return [text(f"Roots: {[root['uri'] for root in answers['client_roots']['roots']]}")]


@TOOLS.tool("test_input_required_result_request_state")
async def input_request_state(call: Call) -> list[Block]:
    """Ask for a confirmation and have the client carry our state."""
    await call.ask({"confirm": _CONFIRM}, stateful=True)
    return [text("state-ok" if call.state or not call.is_modern else "The state is missing.")]


@TOOLS.tool("test_input_required_result_tampered_state")
async def input_tampered_state(call: Call) -> list[Block]:
    """Ask for a confirmation; a state that is not ours is refused before we see it."""
    await call.ask({"confirm": _CONFIRM}, stateful=True)
    return [text("The state was ours.")]


@TOOLS.tool("test_input_required_result_multiple_inputs")
async def input_multiple(call: Call) -> list[Block]:
    """Ask three things of three kinds at once."""
    questions = {
        "user_name": _NAME,
        "greeting": sample("Generate a greeting", 50),
        "client_roots": roots(),
    }
    answers = await call.ask(questions, stateful=True)
    return [text(f"Answered: {sorted(answers)}")]


@TOOLS.tool("test_input_required_result_multi_round")
async def input_multi_round(call: Call) -> list[Block]:
    """Ask one thing after the other."""
    step1 = form("Step 1: What is your name?", ("name",), name=_TEXT)
    step2 = form("Step 2: What is your favorite color?", ("color",), color=_TEXT)
    first = await call.ask({"step1": step1}, stateful=True)
    second = await call.ask({"step2": step2}, stateful=True)
    return [text(f"Answered: {json.dumps(first | second)}")]


@TOOLS.tool("test_input_required_result_capabilities")
async def input_capabilities(call: Call) -> list[Block]:
    """Ask only what the client can answer."""
    known = {
        "sampling": sample("Say something"),
        "elicitation": _CONFIRM,
        "roots": roots(),
    }
    questions = {kind: known[kind] for kind in known if kind in call.capabilities}
    answers = await call.ask(questions)
    return [text(f"Answered: {sorted(answers)}")]
