"""Google's agents, before providers of every dialect."""

import asyncio
import os
from importlib.metadata import version

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models import Gemini
from google.adk.runners import InMemoryRunner
from google.genai import errors, types
from harness import KEY, MODELS, URL
from proof import TOOLS, Loop, Plan, prove

loop = Loop()


class Agents:
    models = MODELS or ["gemini-2.5-flash"]
    errors = dict.fromkeys([400, 401, 404, 429], errors.ClientError) | {500: errors.ServerError, "stream": Exception}

    def status(self, error):
        return error.code

    async def events(self, model, text, key, mode, **rest):
        os.environ["GOOGLE_API_KEY"] = key
        agent = LlmAgent(name="it", model=Gemini(model=model, base_url=URL), **rest)
        runner = InMemoryRunner(agent=agent, app_name="proof")
        session = await runner.session_service.create_session(app_name="proof", user_id="us")
        said = types.Content(role="user", parts=[types.Part(text=text)])
        heard = runner.run_async(
            user_id="us", session_id=session.id, new_message=said, run_config=RunConfig(streaming_mode=mode)
        )
        try:
            async for event in heard:
                yield event
        finally:
            await heard.aclose()

    def last(self, *given, **rest):
        async def read():
            return [event async for event in self.events(*given, **rest)][-1]

        return "".join(part.text or "" for part in loop.run(asyncio.wait_for(read(), 30)).content.parts)

    def ask(self, model, text, key):
        return self.last(model, text, key, StreamingMode.NONE)

    def stream(self, model, text, key):
        async def pieces():
            async for event in self.events(model, text, key, StreamingMode.SSE):
                if event.partial and event.content and event.content.parts and event.content.parts[0].text:
                    yield event.content.parts[0].text

        return loop.each(pieces())

    def tools(self, model, text):
        return self.last(model, text, KEY, StreamingMode.NONE, tools=list(TOOLS.values()))

    def tools_streamed(self, model, text):
        return self.last(model, text, KEY, StreamingMode.SSE, tools=list(TOOLS.values()))

    def plan(self, model):
        return Plan.model_validate_json(self.last(model, "plan", KEY, StreamingMode.NONE, output_schema=Plan))


prove(f"google-adk {version('google-adk')}", Agents())
