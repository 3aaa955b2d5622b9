"""Cohere's own client for chat: what it says passes to its provider as it came, governed like any other."""

import functools
import itertools
import json
from importlib.metadata import version

import cohere
from cohere.core.api_error import ApiError
from harness import DIRECT, KEY, TOOLS, URL, user
from proof import TOOLS as FUNCTIONS
from proof import Plan, prove

ONCE = {"max_retries": 0}
numbers = itertools.count()


@functools.cache
def client(provider, key):
    return cohere.ClientV2(api_key=key, base_url=URL if DIRECT else f"{URL}/{provider}", timeout=20)


class Broken(Exception):
    """A stream that ended in an error; the client itself leaves it to its user to look."""


def result(call):
    said = FUNCTIONS[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
    return {"role": "tool", "tool_call_id": call["id"], "content": said}


class Chat:
    models = ["cohere/command-sim"]
    errors = {
        400: cohere.BadRequestError,
        401: cohere.UnauthorizedError,
        404: cohere.NotFoundError,
        429: cohere.TooManyRequestsError,
        500: ApiError,
        "stream": Broken,
    }

    def fresh(self):
        return f"cohere-{next(numbers)}/command-sim"

    def status(self, error):
        return error.status_code

    def retry_after(self, error):
        return error.headers.get("retry-after")

    def _whole(self, model, messages, key=KEY, **rest):
        provider, model = model.split("/")
        return client(provider, key).chat(model=model, messages=messages, request_options=ONCE, **rest)

    def _events(self, model, messages, key=KEY, **rest):
        provider, model = model.split("/")
        for event in client(provider, key).chat_stream(model=model, messages=messages, request_options=ONCE, **rest):
            if event.type == "message-end" and event.delta.finish_reason == "ERROR":
                raise Broken(event.delta.error)
            yield event

    def ask(self, model, text, key):
        answer = self._whole(model, user(text), key)
        assert answer.usage.billed_units.output_tokens > 0, answer
        return "".join(piece.text for piece in answer.message.content)

    def stream(self, model, text, key):
        for event in self._events(model, user(text), key):
            if event.type == "content-delta":
                yield event.delta.message.content.text

    def tools(self, model, text):
        messages = user(text)
        message = self._whole(model, messages, tools=TOOLS, tool_choice="REQUIRED").message
        messages.append(message)
        messages += [result(call.model_dump()) for call in message.tool_calls]
        return self._whole(model, messages, tools=TOOLS).message.content[0].text

    def tools_streamed(self, model, text):
        messages = user(text)
        calls = {}
        for event in self._events(model, messages, tools=TOOLS):
            if event.type == "tool-call-start":
                calls[event.index] = event.delta.message.tool_calls.model_dump()
                calls[event.index]["function"]["arguments"] = ""
            elif event.type == "tool-call-delta":
                calls[event.index]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
        messages.append({"role": "assistant", "tool_calls": list(calls.values())})
        messages += [result(call) for call in calls.values()]
        said = self._events(model, messages, tools=TOOLS)
        return "".join(event.delta.message.content.text for event in said if event.type == "content-delta")

    def plan(self, model):
        schema = {"type": "json_object", "json_schema": Plan.model_json_schema()}
        answer = self._whole(model, user("plan"), response_format=schema)
        return Plan.model_validate_json(answer.message.content[0].text)

    passes = True


prove(f"cohere chat {version('cohere')}", Chat())
