"""OpenAI's agents over both of its dialects, before providers of every dialect."""

import asyncio
import functools
from importlib.metadata import version

import openai
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from harness import KEY, MODELS, URL, run
from proof import TOOLS, Loop, Plan, register

# Traces would go to OpenAI.
set_tracing_disabled(True)
loop = Loop()


@functools.cache
def client(key):
    return openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0, timeout=20)


class Agents:
    models = MODELS or ["gpt-sim"]
    errors = {400: openai.BadRequestError, 401: openai.AuthenticationError, 404: openai.NotFoundError,
              429: openai.RateLimitError, 500: openai.InternalServerError, "stream": openai.APIError}

    def __init__(self, model):
        self.model = model

    def agent(self, model, key, **rest):
        return Agent(name="it", model=self.model(model=model, openai_client=client(key)), **rest)

    def status(self, error):
        return error.status_code

    def retry_after(self, error):
        return error.response.headers.get("retry-after")

    def ask(self, model, text, key):
        return loop.run(Runner.run(self.agent(model, key), text)).final_output

    def stream(self, model, text, key):
        return loop.each(self.pieces(self.agent(model, key), text))

    async def pieces(self, agent, text):
        answer = Runner.run_streamed(agent, text)
        try:
            async for event in answer.stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    yield event.data.delta
        finally:
            answer.cancel()
            # The run is a task of its own, which has to see that it is over.
            await asyncio.gather(answer.run_loop_task, return_exceptions=True)

    def tools(self, model, text):
        return loop.run(Runner.run(self.agent(model, KEY, tools=self.functions()), text)).final_output

    def tools_streamed(self, model, text):
        return "".join(loop.each(self.pieces(self.agent(model, KEY, tools=self.functions()), text)))

    def functions(self):
        return [function_tool(function) for function in TOOLS.values()]

    def plan(self, model):
        return loop.run(Runner.run(self.agent(model, KEY, output_type=Plan), "plan")).final_output


register(Agents(OpenAIResponsesModel), "responses: ")
register(Agents(OpenAIChatCompletionsModel), "chat: ")
run(f"openai-agents {version('openai-agents')}")
