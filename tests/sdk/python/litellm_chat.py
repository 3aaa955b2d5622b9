"""LiteLLM as a client of an OpenAI-compatible address."""

import gc
from importlib.metadata import version

import litellm
from harness import (
    KEY, MODEL, TOOLS, TWO_CALLS, URL, check, closed_upstream, marker, missing_model, model_for, raises, run, user,
)
from pydantic import BaseModel

litellm.suppress_debug_info = True


def complete(messages, **changes):
    settings = dict(
        model=f"openai/{MODEL}", api_base=f"{URL}/v1", api_key=KEY, num_retries=0, max_retries=0, timeout=20
    )
    return litellm.completion(messages=messages, **(settings | changes))


@check
def a_chat_is_answered_with_usage():
    answer = complete(user("hello"))
    assert answer.choices[0].message.content == "You said: hello", answer
    assert answer.usage.total_tokens > 0


@check
def a_stream_concatenates_to_the_whole_answer():
    chunks = list(complete(user("one two three"), stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "You said: one two three", text


@check
def parallel_calls_come_whole_and_streamed():
    message = complete(user(TWO_CALLS), tools=TOOLS).choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["weather", "time"]
    chunks = list(complete(user(TWO_CALLS), tools=TOOLS, stream=True))
    calls = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls
    arguments = [call.function.arguments for call in calls]
    assert arguments == ['{"city":"Paris, the capital of France"}', '{"city":"Oslo"}'], arguments


class Plan(BaseModel):
    title: str
    steps: list[str]


@check
def structured_output_is_valid():
    answer = complete(user("plan"), response_format=Plan)
    assert Plan.model_validate_json(answer.choices[0].message.content).title == "text"


@check
def errors_keep_their_classes():
    def failing(directives):
        model = f"openai/{model_for(directives)}"
        return lambda: complete(user("hello", directives), model=model)

    raises(litellm.BadRequestError, lambda: complete(user("hello"), temperature=9))
    raises(litellm.ContextWindowExceededError, failing("error=context_length"))
    raises(litellm.RateLimitError, failing("status=429"))
    # A gateway that has tried them all says 502 whatever the upstream said.
    for status in (500, 502, 503, 504):
        kinds = (litellm.InternalServerError, litellm.ServiceUnavailableError, litellm.BadGatewayError, litellm.Timeout)
        try:
            failing(f"status={status}")()
        except kinds:
            continue
        raise AssertionError(f"{status} was no error")
    raises(litellm.AuthenticationError, lambda: complete(user("hello"), api_key="sk-wrong"))
    name, messages = missing_model()
    raises(litellm.NotFoundError, lambda: complete(messages, model=f"openai/{name}"))


@check
def h1_an_error_inside_the_stream_is_raised():
    directives = "error_after=3; error=server"
    messages, model = user("one two three", directives), f"openai/{model_for(directives)}"
    raises(Exception, lambda: list(complete(messages, model=model, stream=True)))


@check
def h10_leaving_the_stream_closes_the_upstream():
    word = marker()
    stream = complete(user(word, "events=1000; drip=20"), stream=True)
    next(iter(stream))
    # The wrapper has no close of its own.
    stream.completion_stream.close()
    del stream
    gc.collect()
    closed_upstream(word)


run(f"litellm {version('litellm')}")
