"""Instructor, which asks for objects, over three clients, before providers of every dialect."""

from importlib.metadata import version

import anthropic
import instructor
import openai
from google import genai
from harness import (
    DIRECT, KEY, MODELS, NARROW, URL, check, closed_upstream, marker, model_for, room_again, run, user,
)
from proof import Loop, Plan, fails

Mode = instructor.Mode


loop = Loop()


def openai_with(key, mode):
    client = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0, timeout=20)
    return instructor.from_openai(client, mode=mode)


def anthropic_with(key, mode):
    client = anthropic.AsyncAnthropic(base_url=URL, api_key=key, max_retries=0, timeout=20)
    return instructor.from_anthropic(client, mode=mode)


def google_with(key, mode):
    options = genai.types.HttpOptions(base_url=URL, timeout=20_000)
    return instructor.from_genai(genai.Client(api_key=key, http_options=options), mode=mode, use_async=True)


def every(client_with, modes, ours, errors, **rest):
    """Registers what must hold of instructor over this client."""
    for model in MODELS or [ours]:
        for mode in modes:
            one(client_with, mode, model, errors, rest)

    def errors_keep_their_classes():
        def create(model, key=KEY, directives="chars=0"):
            client = client_with(key, modes[0])
            text = f"plan [[sim: {directives}]]"
            loop.run(client.create(model=model, response_model=Plan, messages=user(text), max_retries=0, **rest))

        model = (MODELS or [ours])[0]
        error = fails(errors[401], lambda: create(model, "sk-wrong"))
        assert "sk-wrong" not in str(error), "the key must not come back"
        for directives, status in (("error=context_length", 400), ("status=429; retry_after=1", 429), ("status=503", 500)):
            fails(errors[status], lambda: create(model if DIRECT else model_for("fails"), directives=directives))

    errors_keep_their_classes.__name__ += f" (over {client_with.__name__})"
    check(errors_keep_their_classes)


def one(client_with, mode, model, errors, rest):
    def asked(key, text, how="create"):
        client = client_with(key, mode)
        return getattr(client, how)(model=model, response_model=Plan, messages=user(text), max_retries=0, **rest)

    def growing(key, text):
        async def objects():
            async for plan in asked(key, text, "create_partial"):
                yield plan

        return loop.each(objects())

    def an_object_is_made():
        plan = loop.run(asked(KEY, "plan"))
        assert plan.title == "text" and len(plan.steps) == 1, plan

    def an_object_grows_while_it_is_streamed():
        *_, plan = growing(KEY, "plan")
        assert plan.title == "text" and len(plan.steps) == 1, plan

    def h10_leaving_it_frees_its_place():
        word = marker()
        plans = growing(NARROW, f"{word} [[sim: gate_after=4; gate={word}]]")
        next(plans)
        plans.close()
        closed_upstream(word)
        room_again()

    functions = [an_object_is_made, an_object_grows_while_it_is_streamed]
    # Gemini says all of an object at once, and so does everybody before a client of Google's if it is a call.
    if "gemini" not in model and mode != Mode.GENAI_TOOLS:
        functions.append(h10_leaving_it_frees_its_place)
    for function in functions:
        function.__name__ += f" ({mode.value}, {model})"
        check(function)


every(openai_with, [Mode.TOOLS, Mode.JSON_SCHEMA], "gpt-sim", {
    400: openai.BadRequestError, 401: openai.AuthenticationError, 429: openai.RateLimitError, 500: openai.InternalServerError,
})
every(anthropic_with, [Mode.TOOLS], "claude-sonnet-4-5", {
    400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
}, max_tokens=400)
every(google_with, [Mode.GENAI_TOOLS, Mode.GENAI_STRUCTURED_OUTPUTS], "gemini-2.5-flash", {
    400: genai.errors.ClientError, 401: genai.errors.ClientError, 429: genai.errors.ClientError, 500: genai.errors.ServerError,
})
run(f"instructor {version('instructor')}")
