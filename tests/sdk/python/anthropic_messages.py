"""The official Anthropic client, before providers of every dialect."""

import base64
import json
import os

import anthropic
from harness import KEY, TWO_CALLS, URL, check, closed_upstream, marker, missing_model, raises, run

# Without a version: the client adds it.
client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=20)
# One model of each dialect; without a gateway there is the simulator's own.
MODELS = os.environ.get("TOLLGATE_MODELS", "claude-sim").split()
FRESH = os.environ.get("TOLLGATE_FRESH_MODEL", "claude-sim")
PICTURE = base64.b64encode(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806")).decode()
TOOLS = [
    {
        "name": name,
        "description": f"Tells the {name} of a city.",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
    for name in ("weather", "time")
]
number = 0


def user(text, directives=None):
    return [{"role": "user", "content": f"{text} [[sim: {directives}]]" if directives else text}]


def fresh():
    """A model that no other check has made an upstream fail with."""
    global number
    number += 1
    return FRESH.replace("{}", str(number))


def ask(model, text, directives=None, **rest):
    return client.messages.create(model=model, max_tokens=rest.pop("max_tokens", 400), messages=user(text, directives), **rest)


def each(function):
    """Registers a check for every model."""
    for model in MODELS:
        def checked(model=model):
            function(model)
        checked.__name__ = f"{function.__name__} ({model})"
        check(checked)
    return function


@each
def a_message_is_answered_with_usage(model):
    message = ask(model, "hello")
    assert message.content[0].text == "You said: hello", message
    assert (message.stop_reason, message.role, message.type) == ("end_turn", "assistant", "message")
    assert message.id.startswith("msg_") and message._request_id
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0, message.usage


@each
def a_stream_accumulates_to_the_whole_answer(model):
    kinds = []
    with client.messages.stream(model=model, max_tokens=400, messages=user("one two three")) as stream:
        for event in stream:
            kinds.append(event.type)
        message = stream.get_final_message()
    assert message.content[0].text == "You said: one two three", message
    assert message.usage.output_tokens > 0 and message.usage.input_tokens > 0, message.usage
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop"), kinds
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


@each
def max_tokens_ends_with_its_reason(model):
    assert ask(model, "hello there", max_tokens=2).stop_reason == "max_tokens"


@each
def parallel_calls_come_whole(model):
    message = ask(model, TWO_CALLS, tools=TOOLS)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use"
    assert [call.name for call in calls] == ["weather", "time"], message
    assert [call.input for call in calls] == [{"city": "Paris, the capital of France"}, {"city": "Oslo"}]
    assert len({call.id for call in calls}) == 2


@each
def h5_parallel_calls_accumulate_from_a_stream(model):
    for directives in (None, "interleave"):
        text = TWO_CALLS + (f"\n[[sim: {directives}]]" if directives else "")
        with client.messages.stream(model=model, max_tokens=400, messages=user(text), tools=TOOLS) as stream:
            message = stream.get_final_message()
        calls = [block for block in message.content if block.type == "tool_use"]
        assert [call.input for call in calls] == [{"city": "Paris, the capital of France"}, {"city": "Oslo"}], message


@each
def tool_results_are_taken_up(model):
    messages = user(TWO_CALLS)
    message = client.messages.create(model=model, max_tokens=400, messages=messages, tools=TOOLS)
    messages.append({"role": "assistant", "content": message.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"{block.name} is fine"}
        for block in message.content
        if block.type == "tool_use"
    ]
    messages.append({"role": "user", "content": results})
    answer = client.messages.create(model=model, max_tokens=400, messages=messages, tools=TOOLS)
    said = "".join(block.text for block in answer.content if block.type == "text")
    assert said == "weather returned: weather is fine\ntime returned: time is fine", answer


@each
def a_forced_tool_is_called(model):
    message = ask(model, "hello", tools=TOOLS, tool_choice={"type": "any"})
    assert message.stop_reason == "tool_use", message


@each
def system_text_and_pictures_are_accepted(model):
    content = [
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
    ]
    message = client.messages.create(
        model=model,
        max_tokens=400,
        system=[{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[{"role": "user", "content": content}],
    )
    assert message.content[0].text.startswith("You said: look"), message


@each
def thinking_is_shown_and_can_be_sent_back(model):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    messages = user(TWO_CALLS)
    with client.messages.stream(
        model=model, max_tokens=4000, messages=messages, tools=TOOLS, thinking=thinking
    ) as stream:
        message = stream.get_final_message()
    thoughts = [block for block in message.content if block.type == "thinking"]
    # OpenAI's dialect shows no thinking.
    if "openai" not in model:
        assert thoughts and thoughts[0].thinking and thoughts[0].signature, message
    messages.append({"role": "assistant", "content": message.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "fine"}
        for block in message.content
        if block.type == "tool_use"
    ]
    messages.append({"role": "user", "content": results})
    answer = client.messages.create(
        model=model, max_tokens=4000, messages=messages, tools=TOOLS, thinking=thinking
    )
    assert answer.stop_reason == "end_turn", answer


@each
def structured_output_is_json(model):
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    }
    message = ask(model, "plan", output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(message.content[-1].text)["title"] == "text", message


@each
def tokens_are_counted(model):
    small = client.messages.count_tokens(model=model, messages=user("hello"))
    large = client.messages.count_tokens(model=model, messages=user("hello " * 200), tools=TOOLS, system="be brief")
    assert 0 < small.input_tokens < large.input_tokens, (small, large)


@each
def h10_closing_the_stream_closes_the_upstream(model):
    word = marker()
    # A provider that bills what nobody hears is read on as long as it writes.
    stream = ask(model, word, f"events=12; gate_after=6; gate={word}", stream=True)
    for _ in range(4):
        next(stream)
    stream.close()
    closed_upstream(word)


@check
def errors_keep_their_classes():
    cases = [
        ("error=context_length", anthropic.BadRequestError),
        ("status=429; retry_after=1", anthropic.RateLimitError),
        *((f"status={status}", anthropic.InternalServerError) for status in (500, 502, 503, 504, 529)),
        ("error=html; status=502", anthropic.InternalServerError),
    ]
    for directives, kind in cases:
        for stream in (False, True):
            error = raises(kind, lambda: ask(fresh(), "hello", directives, stream=stream))
            assert error.body["type"] == "error" and error.body["request_id"], error.body


@check
def a_prompt_that_is_too_long_is_told_as_agents_look_for_it():
    error = raises(anthropic.BadRequestError, lambda: ask(fresh(), "hello", "error=context_length"), [400])
    assert "prompt is too long" in error.body["error"]["message"], error.body


@check
def a_bad_field_is_named():
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}
    messages = [{"role": "user", "content": [picture]}]
    error = raises(
        anthropic.BadRequestError,
        lambda: client.messages.create(model=MODELS[0], max_tokens=5, messages=messages),
        [400],
    )
    assert "content" in str(error) and "source" in str(error) and "data" in str(error), error


@check
def a_wrong_key_is_an_authentication_error():
    for rest in ({"api_key": "sk-wrong"}, {"auth_token": "sk-wrong", "api_key": None}):
        other = anthropic.Anthropic(base_url=URL, max_retries=0, **rest)
        error = raises(
            anthropic.AuthenticationError,
            lambda: other.messages.create(model=MODELS[0], max_tokens=5, messages=user("hello")),
            [401],
        )
        assert "sk-wrong" not in str(error), "the key must not come back"


@check
def an_unknown_model_is_a_not_found_error():
    model, messages = missing_model()
    if model.startswith("gpt"):
        model = MODELS[0]
    raises(
        anthropic.NotFoundError,
        lambda: client.messages.create(model=model, max_tokens=5, messages=messages),
        [404],
    )


@check
def h1_an_error_inside_the_stream_is_raised():
    seen = []

    def read():
        for event in ask(fresh(), "one two three", "error_after=5; error=server", stream=True):
            seen.append(event)

    raises(anthropic.APIStatusError, read)
    assert seen, "what came before the error is delivered"


@check
def models_are_listed_in_this_dialects_shape():
    models = client.models.list()
    assert len(models.data) > 0 and models.data[0].type == "model", models


run(f"anthropic {anthropic.__version__}")
