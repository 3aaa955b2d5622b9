"""Google's own client, before providers of every dialect."""

import functools
import json

from google import genai
from google.genai import errors, types
from harness import DIRECT, KEY, MODELS, URL, check, raises
from proof import TOOLS, Plan, prove


@functools.cache  # a client that nobody holds closes its connections
def client_with(key):
    options = types.HttpOptions(base_url=URL, timeout=20_000, retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(api_key=key, http_options=options)


client = client_with(KEY)


class Google:
    models = MODELS or ["gemini-2.5-flash"]
    errors = {400: errors.ClientError, 401: errors.ClientError, 404: errors.ClientError, 429: errors.ClientError,
              500: errors.ServerError, "stream": errors.APIError}

    def status(self, error):
        return error.code

    def retry_after(self, error):
        return error.response.headers.get("retry-after")

    def ask(self, model, text, key):
        return client_with(key).models.generate_content(model=model, contents=text).text

    def stream(self, model, text, key):
        for chunk in client_with(key).models.generate_content_stream(model=model, contents=text):
            if chunk.text:
                yield chunk.text

    def tools(self, model, text):
        # The client calls the functions itself and sends what they return.
        config = types.GenerateContentConfig(tools=list(TOOLS.values()))
        return client.models.generate_content(model=model, contents=text, config=config).text

    def tools_streamed(self, model, text):
        config = types.GenerateContentConfig(
            tools=list(TOOLS.values()), automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
        )
        chat = client.chats.create(model=model, config=config)
        calls = [part.function_call for chunk in chat.send_message_stream(text) for part in chunk.parts or [] if part.function_call]
        results = [
            types.Part.from_function_response(name=call.name, response={"result": TOOLS[call.name](**call.args)}) for call in calls
        ]
        return "".join(chunk.text or "" for chunk in chat.send_message_stream(results))

    def plan(self, model):
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Plan)
        return client.models.generate_content(model=model, contents="plan", config=config).parsed


def each(function):
    """Registers a check for every model."""
    for model in Google.models:
        def checked(model=model):
            function(model)
        checked.__name__ = f"{function.__name__} ({model})"
        check(checked)
    return function


@each
def usage_and_the_reason_of_the_end_are_told(model):
    answer = client.models.generate_content(model=model, contents="hello")
    usage = answer.usage_metadata
    assert usage.total_token_count >= usage.prompt_token_count + usage.candidates_token_count > 0, usage
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP, answer
    cap = types.GenerateContentConfig(max_output_tokens=2)
    answer = client.models.generate_content(model=model, contents="hello there", config=cap)
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS, answer


@each
def tokens_are_counted(model):
    small = client.models.count_tokens(model=model, contents="hello").total_tokens
    large = client.models.count_tokens(model=model, contents="hello " * 200).total_tokens
    assert 0 < small < large, (small, large)


@each
def pictures_and_instructions_are_taken(model):
    picture = types.Part.from_bytes(data=bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806"), mime_type="image/png")
    config = types.GenerateContentConfig(system_instruction="be brief", temperature=0.5)
    answer = client.models.generate_content(model=model, contents=["look", picture], config=config)
    assert answer.text.startswith("You said: look"), answer


@each
def thoughts_can_be_sent_back(model):
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024), max_output_tokens=4000
    )
    chat = client.chats.create(model=model, config=config)
    first = chat.send_message("hello")
    # OpenAI's dialect shows no thinking.
    if "openai" not in model:
        assert any(part.thought for part in first.parts), first
    assert chat.send_message("and now?").text == "You said: and now?"


@check
def a_forced_call_is_made():
    config = types.GenerateContentConfig(
        tools=[TOOLS["weather"], TOOLS["time"]],
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["time"])),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    for model in Google.models:
        answer = client.models.generate_content(model=model, contents="hello", config=config)
        assert [call.name for call in answer.function_calls] == ["time"], (model, answer)


@check
def a_bad_field_is_told_by_its_path():
    bad = {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": 7}}]}]}
    own = client._api_client
    error = raises(errors.ClientError, lambda: own.request("post", f"models/{Google.models[0]}:generateContent", bad))
    assert error.code == 400 and error.status == "INVALID_ARGUMENT", error
    assert DIRECT or "contents[0].parts[0]" in error.message, error


@check
def models_are_listed_in_this_dialects_shape():
    names = [model.name for model in client.models.list()]
    assert names and all(name.startswith("models/") for name in names), json.dumps(names)


prove(f"google-genai {genai.__version__}", Google())
