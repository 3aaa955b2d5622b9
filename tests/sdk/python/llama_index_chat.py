"""LlamaIndex over the dialects of OpenAI and Google, before providers of every dialect.

Its client of Anthropic's takes only the names of models that it knows.
"""

import asyncio
import functools
import gc
from importlib.metadata import version

import openai
from google.genai import errors as google_errors
from google.genai.types import HttpOptions
from harness import KEY, MODELS, URL, run
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.llms.google_genai import GoogleGenAI
from llama_index.llms.openai_like import OpenAILike
from proof import TOOLS, Loop, Plan, register

loop = Loop()


class Llama:
    def ask(self, model, text, key):
        return self.llm(model, key).chat([ChatMessage(text)]).message.content

    def stream(self, model, text, key):
        pieces = self.llm(model, key).stream_chat([ChatMessage(text)])
        try:
            for piece in pieces:
                if piece.delta:
                    yield piece.delta
        finally:
            # What it reads from is closed with the last that knows of it.
            del pieces
            gc.collect()

    def tools(self, model, text):
        return self.worked(model, text, streaming=False)

    def tools_streamed(self, model, text):
        return self.worked(model, text, streaming=True)

    def worked(self, model, text, streaming):
        async def work():
            agent = FunctionAgent(tools=list(TOOLS.values()), llm=self.llm(model, KEY), streaming=streaming)
            return str(await agent.run(text))

        return loop.run(asyncio.wait_for(work(), 30))

    def plan(self, model):
        return self.llm(model, KEY).as_structured_llm(Plan).chat([ChatMessage("plan")]).raw


class OfOpenAi(Llama):
    models = MODELS or ["gpt-sim"]
    errors = {400: openai.BadRequestError, 401: openai.AuthenticationError, 404: openai.NotFoundError,
              429: openai.RateLimitError, 500: openai.InternalServerError, "stream": openai.APIError}

    @functools.cache
    def llm(self, model, key):
        return OpenAILike(model=model, api_base=f"{URL}/v1", api_key=key, is_chat_model=True,
                          is_function_calling_model=True, max_retries=0, timeout=20)


class OfGoogle(Llama):
    models = MODELS or ["gemini-2.5-flash"]
    errors = dict.fromkeys([400, 401, 404, 429], google_errors.ClientError) | {500: google_errors.ServerError, "stream": Exception}

    @functools.cache
    def llm(self, model, key):
        return GoogleGenAI(model=model, api_key=key, http_options=HttpOptions(base_url=URL), max_retries=0,
                           context_window=100_000, max_tokens=4000)


register(OfOpenAi(), "openai: ")
register(OfGoogle(), "google: ")
run(f"llama-index {version('llama-index-core')}")
