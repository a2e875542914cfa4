"""The prompts."""

from tests.support.conformance.call import Call, form
from tests.support.conformance.content import Block, embedded, image, text
from tests.support.conformance.offer import Prompts

PROMPTS = Prompts()


@PROMPTS.prompt("test_simple_prompt")
async def simple_prompt(call: Call) -> list[Block]:
    """Take no arguments."""
    del call
    return [text("This is a simple prompt for testing.")]


@PROMPTS.prompt("test_prompt_with_arguments", ("arg1", "arg2"))
async def prompt_with_arguments(call: Call) -> list[Block]:
    """Repeat two arguments."""
    one, two = call.arguments["arg1"], call.arguments["arg2"]
    return [text(f"Prompt with arguments: arg1='{one}', arg2='{two}'")]


@PROMPTS.prompt("test_prompt_with_embedded_resource", ("resourceUri",))
async def prompt_with_embedded_resource(call: Call) -> list[Block]:
    """Contain the resource that is asked for."""
    words = "Embedded resource content for testing."
    return [embedded(call.arguments["resourceUri"], words), text("Please process the above.")]


@PROMPTS.prompt("test_prompt_with_image")
async def prompt_with_image(call: Call) -> list[Block]:
    """Contain a picture."""
    del call
    return [image(), text("Please analyze the image above.")]


@PROMPTS.prompt("test_input_required_result_prompt")
async def input_required_prompt(call: Call) -> list[Block]:
    """Ask the user before there is a prompt."""
    context = {"context": {"type": "string"}}
    question = form("What context should the prompt use?", ("context",), **context)
    answers = await call.ask({"user_context": question})
    return [text(f"The context is {answers['user_context'].get('content')}.")]
