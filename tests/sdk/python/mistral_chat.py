"""Mistral's own client, whose dialect is OpenAI's but for a few words, before providers of every dialect.

It wants every fragment of a streamed call to repeat the function's name, which Mistral's do, whose calls come
whole, and an entry of a list of models to say of which kind it is. The gateway gives it both before any provider.
"""

import functools
import json

from harness import DIRECT, KEY, MODELS, TOOLS, URL, check, run, user
from mistralai.client import Mistral, __version__
from mistralai.client.errors import SDKError
from proof import TOOLS as FUNCTIONS
from proof import Plan, register


@functools.cache
def client(key):
    return Mistral(api_key=key, server_url=URL, timeout_ms=20_000)


class Chat:
    models = MODELS or ["mistral-sim"]
    errors = dict.fromkeys([400, 401, 404, 429, 500], SDKError) | {"stream": Exception}

    def status(self, error):
        return error.status_code

    def retry_after(self, error):
        return error.headers.get("retry-after")

    def ask(self, model, text, key):
        return client(key).chat.complete(model=model, messages=user(text)).choices[0].message.content

    def stream(self, model, text, key):
        with client(key).chat.stream(model=model, messages=user(text)) as events:
            for event in events:
                for choice in event.data.choices:
                    if choice.delta.content:
                        yield choice.delta.content

    def tools(self, model, text):
        messages = user(text)
        answer = client(KEY).chat.complete(model=model, messages=messages, tools=TOOLS, tool_choice="any", random_seed=1)
        message = answer.choices[0].message
        messages.append(message)
        for call in message.tool_calls:
            said = FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "name": call.function.name, "tool_call_id": call.id, "content": said})
        return client(KEY).chat.complete(model=model, messages=messages, tools=TOOLS).choices[0].message.content

    def plan(self, model):
        return client(KEY).chat.parse(Plan, model=model, messages=user("plan")).choices[0].message.parsed


class Streaming(Chat):
    def tools_streamed(self, model, text):
        messages = user(text)
        calls = []
        with client(KEY).chat.stream(model=model, messages=messages, tools=TOOLS, tool_choice="any") as events:
            for event in events:
                for choice in event.data.choices:
                    calls += choice.delta.tool_calls or []
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        for call in calls:
            said = FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "name": call.function.name, "tool_call_id": call.id, "content": said})
        with client(KEY).chat.stream(model=model, messages=messages, tools=TOOLS) as events:
            return "".join(choice.delta.content or "" for event in events for choice in event.data.choices)


class Own(Streaming):
    models = ["mistral-sim+whole_calls" if DIRECT else "mistral/mistral-sim+whole_calls"]


if not DIRECT:

    @check
    def models_are_listed_with_their_kind():
        cards = {card.id: card.type for card in client(KEY).models.list().data}
        assert cards and set(cards.values()) == {"base"}, cards
        listed = next(iter(cards))
        assert client(KEY).models.retrieve(model_id=listed).id == listed


# The simulated provider streams calls as OpenAI does.
register(Chat() if DIRECT else Streaming())
register(Own(), "own_")
run(f"mistralai {__version__}")
