"""LangChain's other chat models, each before providers of every dialect: Anthropic's, Google's and AWS's."""

import functools
from importlib.metadata import version

import anthropic
from botocore.exceptions import BotoCoreError, ClientError
from google.genai.errors import APIError
from harness import KEY, MODELS, URL, run
from langchain_anthropic import ChatAnthropic
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError
from proof import TOOLS, Plan, register

TOOLS_HERE = [tool(function) for function in TOOLS.values()]


class LangChain:
    """What all of them have in common."""

    def ask(self, model, text, key):
        return self.chat(model, key).invoke(text).text

    def stream(self, model, text, key):
        for chunk in self.chat(model, key).stream(text):
            if chunk.text:
                yield chunk.text

    def tools(self, model, text):
        bound = self.chat(model, KEY).bind_tools(TOOLS_HERE)
        return self.answered(bound, text, bound.invoke).text

    def tools_streamed(self, model, text):
        def added(messages):
            return functools.reduce(lambda all, chunk: all + chunk, bound.stream(messages))

        bound = self.chat(model, KEY).bind_tools(TOOLS_HERE)
        return self.answered(bound, text, added).text

    def answered(self, bound, text, ask):
        messages = [HumanMessage(text)]
        messages.append(ask(messages))
        assert messages[1].usage_metadata["total_tokens"] > 0, messages[1]
        for call in messages[1].tool_calls:
            messages.append(ToolMessage(TOOLS[call["name"]](**call["args"]), tool_call_id=call["id"], name=call["name"]))
        return ask(messages)

    def plan(self, model):
        return self.chat(model, KEY).with_structured_output(Plan).invoke("plan")


class Anthropics(LangChain):
    models = MODELS or ["claude-sim"]
    errors = {400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 404: anthropic.NotFoundError,
              429: anthropic.RateLimitError, 500: anthropic.InternalServerError, "stream": anthropic.APIError}

    @functools.cache
    def chat(self, model, key):
        return ChatAnthropic(model=model, base_url=URL, api_key=key, max_retries=0, timeout=20, max_tokens=400)

    def status(self, error):
        return error.status_code

    def retry_after(self, error):
        return error.response.headers.get("retry-after")


class Google(LangChain):
    models = MODELS or ["gemini-2.5-flash"]
    errors = dict.fromkeys([400, 401, 404, 429, 500, "stream"], (APIError, ChatGoogleGenerativeAIError))

    @functools.cache
    def chat(self, model, key):
        return ChatGoogleGenerativeAI(model=model, base_url=URL, api_key=key, max_retries=1, timeout=20)

    def status(self, error):
        return error.code if isinstance(error, APIError) else error.__cause__.code


class Bedrock(LangChain):
    models = MODELS or ["us.anthropic.claude-sonnet-4-5-20250929-v1:0"]
    errors = dict.fromkeys([400, 401, 404, 429, 500], ClientError) | {"stream": (BotoCoreError, ClientError)}

    @functools.cache
    def chat(self, model, key):
        return ChatBedrockConverse(
            model=model, endpoint_url=URL, region_name="us-east-1", provider="anthropic", max_tokens=400,
            aws_access_key_id=key, aws_secret_access_key=key, max_retries=0,
            # It knows this of Claude only.
            disable_streaming=False, supports_tool_choice_values=("auto", "any", "tool"),
        )

    def status(self, error):
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


for package, client in (("anthropic", Anthropics()), ("google-genai", Google()), ("aws", Bedrock())):
    register(client, f"{package} {version(f'langchain-{package}')}: ")
run("langchain")
