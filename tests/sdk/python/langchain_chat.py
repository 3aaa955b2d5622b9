"""LangChain's ChatOpenAI."""

from importlib.metadata import version

import openai
from harness import (
    KEY, MODEL, TOOLS, TWO_CALLS, URL, check, closed_upstream, marker, missing_model, model_for, raises, run, user,
)
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


def model(**changes):
    settings = dict(base_url=f"{URL}/v1", api_key=KEY, model=MODEL, max_retries=0, timeout=20) | changes
    return ChatOpenAI(**settings)


chat = model()


def streamed(text, directives):
    return list(model(model=model_for(directives)).stream(user(text, directives)))


@check
def a_chat_is_answered_with_usage():
    answer = chat.invoke(user("hello"))
    assert answer.content == "You said: hello", answer
    assert answer.usage_metadata["total_tokens"] > 0


@check
def a_stream_adds_up():
    total = None
    for chunk in model(stream_usage=True).stream(user("one two three")):
        total = chunk if total is None else total + chunk
    assert total.content == "You said: one two three", total
    assert total.usage_metadata["total_tokens"] > 0


@check
def parallel_calls_and_their_results():
    bound = chat.bind_tools(TOOLS)
    called = bound.invoke(user(TWO_CALLS))
    assert [call["name"] for call in called.tool_calls] == ["weather", "time"]
    assert called.tool_calls[0]["args"] == {"city": "Paris, the capital of France"}
    results = [ToolMessage(content=f"{call['name']} is fine", tool_call_id=call["id"]) for call in called.tool_calls]
    answer = bound.invoke([HumanMessage(TWO_CALLS), called, *results])
    assert "time returned: time is fine" in answer.content, answer


@check
def h5_parallel_calls_assemble_from_a_stream():
    total = None
    for chunk in chat.bind_tools(TOOLS).stream(user(TWO_CALLS)):
        total = chunk if total is None else total + chunk
    assert [call["args"]["city"] for call in total.tool_calls] == ["Paris, the capital of France", "Oslo"], total


class Plan(BaseModel):
    """A plan."""

    title: str
    steps: list[str]


@check
def structured_output_by_schema_and_by_call():
    for method in ("json_schema", "function_calling"):
        plan = chat.with_structured_output(Plan, method=method).invoke(user("plan"))
        assert plan.title == "text", (method, plan)


@check
def errors_keep_their_classes():
    def failing(directives):
        return lambda: model(model=model_for(directives)).invoke(user("hello", directives))

    raises(openai.BadRequestError, failing("error=content_filter"), [400])
    raises(openai.RateLimitError, failing("status=429"), [429])
    for status in (500, 502, 503, 504):
        raises(openai.InternalServerError, failing(f"status={status}"), range(500, 600))
    raises(openai.AuthenticationError, lambda: model(api_key="sk-wrong").invoke(user("hello")), [401])
    name, messages = missing_model()
    raises(openai.NotFoundError, lambda: model(model=name).invoke(messages), [404])


@check
def h1_an_error_inside_the_stream_is_raised():
    raises(openai.APIError, lambda: streamed("one two three", "error_after=3; error=server"))


@check
def k15_a_cut_stream_does_not_end_cleanly():
    raises(Exception, lambda: streamed("one two three", "cut_after_events=3"))


@check
def h10_leaving_the_stream_closes_the_upstream():
    word = marker()
    stream = chat.stream(user(word, "events=1000; drip=20"))
    next(stream)
    stream.close()
    closed_upstream(word)


run(f"langchain-openai {version('langchain-openai')}")
