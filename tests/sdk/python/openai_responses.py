"""The official OpenAI client on Responses."""

import json
import os

import openai
from harness import KEY, MODEL, TWO_CALLS, URL, check, closed_upstream, marker, missing_model, model_for, raises, run
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=20)

# Every upstream that there is: each answers in a dialect of its own.
MODELS = os.environ.get("TOLLGATE_MODELS", MODEL).split()

TOOLS = [
    {
        "type": "function",
        "name": name,
        "description": f"Tells the {name} of a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    for name in ("weather", "time")
]


def ask(text, directives=None, **rest):
    text = f"{text} [[sim: {directives}]]" if directives else text
    return client.responses.create(**{"model": model_for(directives), "input": text, **rest})


@check
def an_answer_has_text_and_usage_whoever_gives_it():
    for model in MODELS:
        answer = ask("hello", model=model)
        assert answer.output_text == "You said: hello", answer
        assert answer.status == "completed" and answer.id.startswith("resp_"), answer
        usage = answer.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0
        assert usage.input_tokens_details.cached_tokens == 0 and usage.output_tokens_details.reasoning_tokens == 0


@check
def a_stream_ends_in_the_response_that_its_pieces_make_up():
    for model in MODELS:
        with client.responses.stream(model=model, input="one two three") as stream:
            events = list(stream)
            final = stream.get_final_response()
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert text == final.output_text == "You said: one two three", (model, text)
        assert [event.type for event in events][:2] == ["response.created", "response.in_progress"]
        numbers = [event.sequence_number for event in events]
        assert numbers == sorted(set(numbers)), numbers
        assert final.usage.total_tokens > 0


@check
def raw_events_come_one_by_one():
    events = list(ask("hello", stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "You said: hello"


@check
def parallel_calls_come_whole_and_their_results_are_taken_up():
    for model in MODELS:
        answer = ask(TWO_CALLS, model=model, tools=TOOLS)
        calls = [item for item in answer.output if item.type == "function_call"]
        assert [call.name for call in calls] == ["weather", "time"], (model, answer.output)
        assert json.loads(calls[0].arguments) == {"city": "Paris, the capital of France"}
        turn = [{"role": "user", "content": TWO_CALLS}, *[item.model_dump(exclude_none=True) for item in answer.output]]
        turn += [{"type": "function_call_output", "call_id": c.call_id, "output": f"{c.name} is fine"} for c in calls]
        said = ask("", model=model, input=turn, tools=TOOLS).output_text
        assert "weather is fine" in said and "time is fine" in said, (model, said)


@check
def h5_parallel_calls_assemble_from_a_stream():
    for model in MODELS:
        with client.responses.stream(model=model, input=TWO_CALLS, tools=TOOLS) as stream:
            final = stream.get_final_response()
        calls = [(item.name, json.loads(item.arguments)) for item in final.output if item.type == "function_call"]
        assert calls == [("weather", {"city": "Paris, the capital of France"}), ("time", {"city": "Oslo"})], calls


@check
def a_forced_call_is_made():
    answer = ask("hello", tools=TOOLS, tool_choice={"type": "function", "name": "time"})
    assert [item.name for item in answer.output if item.type == "function_call"] == ["time"]


class City(BaseModel):
    name: str
    people: int


@check
def an_answer_fits_its_schema():
    for model in MODELS:
        answer = client.responses.parse(model=model, input="where?", text_format=City)
        assert isinstance(answer.output_parsed, City), (model, answer)


@check
def reasoning_is_shown_and_can_be_sent_back():
    for model in MODELS:
        with client.responses.stream(
            model=model, input="hello", reasoning={"effort": "low", "summary": "auto"}, max_output_tokens=9000
        ) as stream:
            answer = stream.get_final_response()
        thought = [item for item in answer.output if item.type == "reasoning"]
        if not thought:
            # Chat has no reasoning to show that is not asked for in its own words.
            assert model.startswith("good") or model == MODEL, (model, answer.output)
            continue
        assert thought[0].summary[0].text.startswith("The user wrote"), (model, thought)
        turn = [{"role": "user", "content": "hello"}, *[i.model_dump(exclude_none=True) for i in answer.output]]
        turn.append({"role": "user", "content": "and now?"})
        # A provider refuses its own proof if a letter of it has changed, and another's altogether.
        assert ask("", model=model, input=turn).output_text == "You said: and now?", model
        assert ask("", model=MODEL, input=turn).output_text == "You said: and now?", model


@check
def pictures_are_seen():
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}
    for model in MODELS:
        content = [{"type": "input_text", "text": "look"}, picture]
        answer = ask("", model=model, input=[{"role": "user", "content": content}])
        assert answer.output_text == "You said: look (and 1 images)", (model, answer.output_text)


@check
def a_cap_that_is_reached_leaves_the_answer_incomplete():
    answer = ask("a rather long sentence that goes on and on, until nobody listens any more", max_output_tokens=16)
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens", answer


def a_conversation_goes_on_from_a_response_that_is_kept():
    for model in MODELS:
        first = ask("hello", model=model)
        second = ask("and more", model=model, previous_response_id=first.id)
        found = client.responses.retrieve(second.id)
        assert found.output_text == second.output_text == "You said: and more", found
        items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
        assert [item.role for item in items] == ["user", "assistant", "user"], items
        assert items[0].content[0].text == "hello" and items[1].content[0].text == first.output_text, items
        client.responses.delete(second.id)
        raises(openai.NotFoundError, lambda: client.responses.retrieve(second.id))
        raises(openai.BadRequestError, lambda: ask("third", model=model, previous_response_id=second.id))
        assert client.responses.retrieve(first.id).id == first.id


# Whoever keeps none cannot be asked for them.
if os.environ.get("TOLLGATE_KEEPS"):
    check(a_conversation_goes_on_from_a_response_that_is_kept)


@check
def errors_have_their_types():
    model, messages = missing_model()
    text = messages[0]["content"]
    raises(openai.NotFoundError, lambda: client.responses.create(model=model, input=text))
    error = raises(openai.BadRequestError, lambda: client.responses.create(model=MODEL, input=7), status=[400])
    assert error.param == "input" and error.request_id, error
    raises(openai.RateLimitError, lambda: ask("hello", "error=rate_limit"))
    bad = openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-wrong", max_retries=0)
    raises(openai.AuthenticationError, lambda: bad.responses.create(model=MODEL, input="hello"))


@check
def h3_a_stream_that_breaks_raises():
    for directives in ("chars=300,events=9,error_after=6", "chars=300,events=9,end_after_events=6"):
        raises((openai.APIError, RuntimeError), lambda: consume(directives))


def consume(directives):
    with client.responses.stream(model=model_for(directives), input=f"hello [[sim: {directives}]]") as stream:
        return stream.get_final_response()


@check
def h10_leaving_a_stream_closes_the_upstream_call():
    word = marker()
    text = f"{word} [[sim: chars=40000,events=4000,drip=5]]"
    stream = client.responses.create(model=MODEL, input=text, stream=True)
    next(iter(stream))
    stream.close()
    closed_upstream(word)


run("openai-responses")
