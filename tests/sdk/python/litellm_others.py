"""LiteLLM as a client of Anthropic's, Google's and AWS's dialects, before providers of every dialect."""

import gc
import json
from importlib.metadata import version

import litellm
from litellm.exceptions import MidStreamFallbackError
from harness import KEY, MODELS, TOOLS, URL, run, user
from proof import TOOLS as FUNCTIONS
from proof import Plan, register

litellm.suppress_debug_info = True


class LiteLlm:
    errors = {400: litellm.BadRequestError, 401: (litellm.AuthenticationError, litellm.PermissionDeniedError),
              404: litellm.NotFoundError,
              # The second is what it makes of a stream's refusal.
              429: (litellm.RateLimitError, MidStreamFallbackError),
              500: (litellm.InternalServerError, litellm.ServiceUnavailableError, litellm.BadGatewayError, litellm.Timeout,
                    litellm.APIConnectionError),
              "stream": Exception}

    def __init__(self, prefix, ours, **place):
        self.prefix, self.place = prefix, place
        self.models = MODELS or [ours]
        # It leaves tools and schemas out for models that it does not know.
        can = dict.fromkeys(("function_calling", "parallel_function_calling", "tool_choice", "response_schema"), True)
        litellm.register_model({f"{prefix}/{model}": {
            "litellm_provider": prefix.partition("/")[0], "mode": "chat", "max_tokens": 4000,
            **{f"supports_{what}": able for what, able in can.items()},
        } for model in self.models})

    def complete(self, model, messages, key=KEY, **rest):
        place = self.place or dict(aws_bedrock_runtime_endpoint=URL, aws_region_name="us-east-1",
                                   aws_access_key_id=key, aws_secret_access_key=key)
        name = f"{self.prefix}/{model}"
        return litellm.completion(
            model=name, messages=messages, api_key=key if self.place else None, num_retries=0, max_retries=0,
            timeout=20, **place, **rest,
        )

    def ask(self, model, text, key):
        return self.complete(model, user(text), key).choices[0].message.content

    def stream(self, model, text, key):
        answer = self.complete(model, user(text), key, stream=True)
        try:
            for chunk in answer:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content
        finally:
            # The wrapper has no close of its own.
            del answer
            gc.collect()

    def tools(self, model, text):
        messages = user(text)
        message = self.complete(model, messages, tools=TOOLS).choices[0].message
        return self.answered(model, messages, message)

    def tools_streamed(self, model, text):
        messages = user(text)
        chunks = list(self.complete(model, messages, tools=TOOLS, stream=True))
        return self.answered(model, messages, litellm.stream_chunk_builder(chunks).choices[0].message)

    def answered(self, model, messages, message):
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            said = FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
        return self.complete(model, messages, tools=TOOLS).choices[0].message.content

    def plan(self, model):
        answer = self.complete(model, user("plan"), response_format=Plan)
        return Plan.model_validate_json(answer.choices[0].message.content)


register(LiteLlm("anthropic", "claude-sonnet-4-5", api_base=URL), "anthropic: ")
register(LiteLlm("gemini", "gemini-2.5-flash", api_base=f"{URL}/v1beta"), "gemini: ")
# Of tools and schemas it tells AWS for Claude only, by the name.
MODELS = [model for model in MODELS if "claude" in model]
register(LiteLlm("bedrock/converse", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"), "bedrock: ")
run(f"litellm {version('litellm')}")
