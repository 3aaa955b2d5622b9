"""Pydantic AI's agents with its models of every dialect, each before providers of every dialect."""

import functools
from importlib.metadata import version

import anthropic
import boto3
import botocore.config
import openai
from harness import KEY, MODELS, URL, run
from proof import TOOLS, Loop, Plan, register
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

loop = Loop()


@functools.cache
def of_openai(key):
    return OpenAIProvider(openai_client=openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0, timeout=20))


@functools.cache
def of_anthropic(key):
    return AnthropicProvider(anthropic_client=anthropic.AsyncAnthropic(base_url=URL, api_key=key, max_retries=0, timeout=20))


@functools.cache
def of_google(key):
    return GoogleProvider(api_key=key, base_url=URL)


@functools.cache
def of_bedrock(key):
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=20)
    place = dict(endpoint_url=URL, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=key)
    return BedrockProvider(bedrock_client=boto3.client("bedrock-runtime", config=config, **place))


class Agents:
    errors = dict.fromkeys([400, 401, 404, 429, 500], ModelHTTPError) | {"stream": Exception}

    def __init__(self, model, provider, ours, profile):
        self.model, self.provider, self.profile = model, provider, profile
        self.models = MODELS or [ours]

    def agent(self, model, key, **rest):
        return Agent(self.model(model, provider=self.provider(key), profile=self.profile), retries=0, **rest)

    def status(self, error):
        return error.status_code

    def ask(self, model, text, key):
        return loop.run(self.agent(model, key).run(text)).output

    def stream(self, model, text, key):
        return loop.each(self.pieces(self.agent(model, key), text))

    async def pieces(self, agent, text):
        async with agent.run_stream(text) as answer:
            async for piece in answer.stream_text(delta=True, debounce_by=None):
                yield piece

    def tools(self, model, text):
        return loop.run(self.agent(model, KEY, tools=list(TOOLS.values())).run(text)).output

    def tools_streamed(self, model, text):
        return "".join(loop.each(self.pieces(self.agent(model, KEY, tools=list(TOOLS.values())), text)))

    def plan(self, model):
        # By a forced call, and in the dialect's own way.
        by_call = loop.run(self.agent(model, KEY, output_type=Plan).run("plan")).output
        native = loop.run(self.agent(model, KEY, output_type=NativeOutput(Plan)).run("plan")).output
        assert by_call == native, (by_call, native)
        return native


# It knows what models can do by their names, and these names are the gateway's.
ABLE = {"supports_json_schema_output": True}
for name, model, provider, ours, profile in (
    ("chat", OpenAIChatModel, of_openai, "gpt-sim", None),
    ("responses", OpenAIResponsesModel, of_openai, "gpt-sim", None),
    ("anthropic", AnthropicModel, of_anthropic, "claude-sonnet-4-5", ABLE),
    ("google", GoogleModel, of_google, "gemini-2.5-flash", None),
    ("bedrock", BedrockConverseModel, of_bedrock, "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
     ABLE | {"bedrock_supports_tool_choice": True}),
):
    register(Agents(model, provider, ours, profile), f"{name}: ")
run(f"pydantic-ai {version('pydantic-ai-slim')}")
