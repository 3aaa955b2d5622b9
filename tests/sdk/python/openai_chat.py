"""The official OpenAI client, either major version."""

import json

import openai
from harness import (
    DIRECT, KEY, MODEL, TOOLS, TWO_CALLS, URL, check, closed_upstream, marker, missing_model, model_for, raises, run, user,
)
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=20)


def chat(text, directives=None, **rest):
    return client.chat.completions.create(model=model_for(directives), messages=user(text, directives), **rest)


@check
def a_chat_is_answered_with_usage():
    answer = chat("hello")
    assert answer.choices[0].message.content == "You said: hello", answer
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@check
def a_stream_concatenates_to_the_whole_answer():
    chunks = list(chat("one two three", stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "You said: one two three", text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert all(chunk.usage is None for chunk in chunks), "usage was not asked for"


@check
def usage_comes_last_when_asked_for():
    chunks = list(chat("hello", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens > 0
    assert sum(chunk.usage is not None for chunk in chunks) == 1


@check
def max_tokens_ends_with_length():
    assert chat("hello", max_tokens=2).choices[0].finish_reason == "length"


@check
def parallel_calls_come_whole():
    message = chat(TWO_CALLS, tools=TOOLS).choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["weather", "time"]
    assert message.tool_calls[0].function.arguments == '{"city":"Paris, the capital of France"}'
    assert len({call.id for call in message.tool_calls}) == 2


@check
def a_required_call_is_made():
    choice = chat("hello", tools=TOOLS, tool_choice="required").choices[0]
    assert choice.finish_reason == "tool_calls" and len(choice.message.tool_calls) == 1


@check
def h5_parallel_calls_assemble_from_a_stream():
    for directives in (None, "interleave"):
        # On a line of its own, so that it is no part of the last call's arguments.
        text = TWO_CALLS + (f"\n[[sim: {directives}]]" if directives else "")
        with client.chat.completions.stream(model=MODEL, messages=user(text), tools=TOOLS) as stream:
            message = stream.get_final_completion().choices[0].message
        assert [call.function.name for call in message.tool_calls] == ["weather", "time"]
        arguments = [call.function.arguments for call in message.tool_calls]
        assert arguments == ['{"city":"Paris, the capital of France"}', '{"city":"Oslo"}'], arguments


@check
def a_tool_result_is_taken_up():
    messages = user(TWO_CALLS)
    calls = chat(TWO_CALLS, tools=TOOLS).choices[0].message
    messages.append(calls.model_dump(exclude_none=True))
    for call in calls.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is fine"})
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    said = answer.choices[0].message.content
    assert said == "weather returned: weather is fine\ntime returned: time is fine", said


class Step(BaseModel):
    text: str
    number: int


class Plan(BaseModel):
    title: str
    steps: list[Step]


@check
def structured_output_is_parsed():
    answer = client.chat.completions.parse(model=MODEL, messages=user("plan"), response_format=Plan)
    assert answer.choices[0].message.parsed.steps[0].number == 1, answer


@check
def structured_output_is_parsed_from_a_stream():
    with client.chat.completions.stream(model=MODEL, messages=user("plan"), response_format=Plan) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.title == "text"


@check
def a_bad_request_is_a_bad_request_error():
    raises(openai.BadRequestError, lambda: chat("hello", temperature=9), [400])
    error = raises(openai.BadRequestError, lambda: chat("hello", "error=context_length"), [400])
    assert error.code == "context_length_exceeded", error


@check
def a_wrong_key_is_an_authentication_error():
    other = client.with_options(api_key="sk-wrong")
    error = raises(
        openai.AuthenticationError,
        lambda: other.chat.completions.create(model=MODEL, messages=user("hello")),
        [401],
    )
    assert "sk-wrong" not in str(error), "the key must not come back"


@check
def an_unknown_model_is_a_not_found_error():
    model, messages = missing_model()
    raises(openai.NotFoundError, lambda: client.chat.completions.create(model=model, messages=messages), [404])


@check
def a_rate_limit_is_a_rate_limit_error():
    error = raises(openai.RateLimitError, lambda: chat("hello", "status=429; retry_after=1"), [429])
    assert error.response.headers.get("retry-after") is not None, "k3: every 429 says when to come back"


@check
def upstream_failures_are_internal_server_errors():
    for status in (500, 502, 503, 504, 529):
        raises(openai.InternalServerError, lambda: chat("hello", f"status={status}"), range(500, 600))
    for shape in ("html", "string", "empty"):
        raises(openai.InternalServerError, lambda: chat("hello", f"error={shape}; status=502"), range(500, 600))


@check
def h2_an_error_before_the_first_event_is_a_status_in_a_stream_too():
    raises(openai.InternalServerError, lambda: chat("hello", "status=500", stream=True), range(500, 600))
    raises(openai.RateLimitError, lambda: chat("hello", "status=429", stream=True), [429])


@check
def silence_is_a_timeout():
    impatient = client.with_options(timeout=0.3)
    model, messages = model_for("head_silence"), user("hello", "head_silence")
    raises(openai.APITimeoutError, lambda: impatient.chat.completions.create(model=model, messages=messages))


@check
def h1_an_error_inside_the_stream_is_raised():
    seen = []

    def read():
        for chunk in chat("one two three", "error_after=3; error=server", stream=True):
            seen.append(chunk)

    raises(openai.APIError, read)
    assert seen, "what came before the error is delivered"


@check
def k15_a_cut_stream_does_not_end_cleanly():
    raises(Exception, lambda: list(chat("one two three", "cut_after_events=3", stream=True)))


@check
def h10_closing_the_stream_closes_the_upstream():
    word = marker()
    stream = chat(word, "events=1000; drip=20", stream=True)
    for _ in range(3):
        next(stream)
    stream.close()
    closed_upstream(word)


@check
def models_are_listed():
    assert len(list(client.models.list())) > 0


# Whose files are meant has to be said before a gateway with several providers.
FILES = {} if DIRECT else {"x-tollgate-provider": "good"}


def calls(lines, model="gpt-sim"):
    body = {"model": model, "max_tokens": 5, "messages": user("hello")}
    call = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    text = "".join(json.dumps({"custom_id": str(line), **call}) + "\n" for line in range(lines))
    return client.files.create(
        file=("calls.jsonl", text.encode()), purpose="batch", extra_headers=FILES
    )


@check
def files_are_created_read_and_deleted():
    text = bytes(range(256))
    made = client.files.create(file=("bytes.bin", text), purpose="user_data", extra_headers=FILES)
    assert (made.object, made.bytes, made.purpose) == ("file", 256, "user_data"), made
    assert client.files.retrieve(made.id, extra_headers=FILES).id == made.id
    assert client.files.content(made.id, extra_headers=FILES).read() == text
    assert made.id in [file.id for file in client.files.list(extra_headers=FILES)]
    assert client.files.delete(made.id, extra_headers=FILES).deleted
    raises(openai.NotFoundError, lambda: client.files.retrieve(made.id, extra_headers=FILES))


@check
def a15_a_batch_is_made_of_a_file_and_its_answers_are_read():
    made = client.batches.create(
        input_file_id=calls(20).id, endpoint="/v1/chat/completions", completion_window="24h",
        metadata={"for": "a check"}, extra_headers=FILES,
    )
    batch = client.batches.retrieve(made.id, extra_headers=FILES)
    assert (batch.status, batch.request_counts.completed, batch.metadata) == ("completed", 20, {"for": "a check"}), batch
    lines = client.files.content(batch.output_file_id, extra_headers=FILES).text.splitlines()
    assert [json.loads(line)["custom_id"] for line in lines] == [str(line) for line in range(20)]
    assert made.id in [batch.id for batch in client.batches.list(extra_headers=FILES)]
    assert client.batches.cancel(made.id, extra_headers=FILES).id == made.id


@check
def other_paths_of_a_provider_pass():
    # Under its own name before a gateway, at the same place without one.
    way = "/passed" if DIRECT else f"{URL}/good/v1/passed"
    said = client.post(f"{way}/json", body={"model": "gpt-sim"}, cast_to=object)
    assert said["method"] == "POST" and said["path"] == "/v1/passed/json", said
    assert client.get(f"{way}/bytes", cast_to=openai.HttpxBinaryResponseContent).read() == bytes(range(256))


run(f"openai {openai.__version__}")
