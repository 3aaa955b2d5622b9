"""What every client must be able to do before every upstream, said once; a client says how it does it.

A client is an object with

    models                the models to ask; each of an upstream of another dialect
    ask(model, text, key) the text of a whole answer
    stream(model, text, key)   a generator of texts as they come; closing it leaves the answer
    tools(model, text)    the text that answers the results of the calls that `text` leads to
    tools_streamed(model, text)   the same with every answer streamed
    plan(model)           a `Plan` by the client's own structured output
    errors                the classes it raises, by status, and by "stream" for a fault in mid-stream
    status(error)         the status an error tells
    retry_after(error)    the header, if the client lets one look at it
    fresh()               a model that nobody has made an upstream fail with
    passes                true if its calls pass to their provider, which alone knows its models

where those from `tools_streamed` on may be missing.
"""

import asyncio
import queue
import threading

from harness import (
    DIRECT, KEY, NARROW, TWO_CALLS, check, closed_upstream, gated, marker, model_for, open_gate, room_again, run,
)
from pydantic import BaseModel

# What the tools say to the simulator's two calls.
RESULTS = ("weather of Paris, the capital of France", "time of Oslo")


class Plan(BaseModel):
    """A plan."""

    title: str
    steps: list[str]


def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"weather of {city}"


def time(city: str) -> str:
    """Tells the time of a city."""
    return f"time of {city}"


TOOLS = {"weather": weather, "time": time}


class Loop:
    """Runs a client that only knows asyncio, in a thread of its own: what the client leaves behind goes on, as in
    a server, while the checks wait for what comes of it."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, awaitable):
        async def waited():
            return await awaitable

        return asyncio.run_coroutine_threadsafe(waited(), self.loop).result()

    def each(self, pieces):
        """An asynchronous generator as one that is not; closing this one cancels the task that reads it."""
        heard = queue.Queue()
        over = object()

        async def read():
            try:
                async for piece in pieces:
                    heard.put(piece)
            except Exception as error:  # raised again where it is waited for
                heard.put(error)
            finally:
                heard.put(over)

        task = asyncio.run_coroutine_threadsafe(read(), self.loop)
        piece = None
        try:
            while (piece := heard.get()) is not over:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            task.cancel()
            while piece is not over:
                piece = heard.get()


def fails(kind, function):
    """The error of this kind that `function` must end in; as the cause of another, if the client wraps it."""
    try:
        result = function()
    except Exception as error:  # looked at below
        cause = error
        while cause is not None and not isinstance(cause, kind):
            cause = cause.__cause__
        if cause is None:
            raise AssertionError(f"expected {kind}, got {type(error)}: {error}") from error
        return cause
    raise AssertionError(f"expected {kind}, got {result!r}")


def prove(name, client):
    """Registers every check of this client and runs them."""
    register(client)
    run(name)


def register(client, prefix=""):
    def fresh():
        """A model that no other check has made an upstream fail with."""
        if hasattr(client, "fresh"):
            return client.fresh()
        return client.models[0] if DIRECT else model_for("what goes wrong")

    def each(function):
        for model in client.models:
            def checked(model=model):
                function(model)
            checked.__name__ = f"{prefix}{function.__name__} ({model})"
            check(checked)

    def once(function):
        function.__name__ = prefix + function.__name__
        check(function)

    def status_is(wanted, error):
        if hasattr(client, "status"):
            assert client.status(error) in wanted, f"{client.status(error)}, expected one of {wanted}: {error}"

    @each
    def a_question_is_answered(model):
        said = client.ask(model, "hello", KEY)
        assert said == "You said: hello", said

    @each
    def a_stream_comes_piece_by_piece(model):
        word = marker()
        pieces = client.stream(model, gated(word), KEY)
        seen = next(pieces)
        assert len(seen) < len(f"You said: {word}"), seen
        # The upstream says nothing more until it is let, so what was seen had not waited for the end.
        open_gate(word)
        seen += "".join(pieces)
        assert seen == f"You said: {word}", seen

    @each
    def h5_calls_are_made_and_their_results_taken_up(model):
        for way in ("tools", "tools_streamed"):
            if hasattr(client, way):
                said = getattr(client, way)(model, TWO_CALLS)
                assert all(result in said for result in RESULTS), (way, said)

    if hasattr(client, "plan"):
        @each
        def an_answer_fits_its_schema(model):
            plan = client.plan(model)
            assert plan.title and isinstance(plan.steps, list), plan

    @each
    def h10_leaving_a_stream_frees_its_place(model):
        word = marker()
        pieces = client.stream(model, gated(word), NARROW)
        next(pieces)
        if not DIRECT:
            error = fails(client.errors[429], lambda: client.ask(model, "hello", NARROW))
            status_is([429], error)
            if hasattr(client, "retry_after"):
                assert client.retry_after(error), "k3: every 429 says when to come back"
        pieces.close()
        closed_upstream(word)
        room_again()

    @once
    def a_wrong_key_is_refused():
        error = fails(client.errors[401], lambda: client.ask(client.models[0], "hello", "sk-wrong"))
        # Google itself says 400.
        status_is([400, 401, 403] if DIRECT else [401, 403], error)
        assert "sk-wrong" not in str(error), "the key must not come back"

    if not DIRECT:
        @once
        def an_unknown_model_is_not_found():
            if getattr(client, "passes", False):
                missing = "hello [[sim: error=model_not_found]]"
                error = fails(client.errors[404], lambda: client.ask(fresh(), missing, KEY))
                return status_is([404], error)
            error = fails(client.errors[404], lambda: client.ask("no-such-model-anywhere", "hello", KEY))
            status_is([404], error)
            assert "no-such-model-anywhere" in str(error), error

    @once
    def errors_have_their_classes():
        for directives, status in (
            ("error=context_length", 400), ("status=429; retry_after=1", 429), ("status=500", 500), ("status=503", 500),
        ):
            text = f"hello [[sim: {directives}]]"
            for way in (client.ask, lambda *given: "".join(client.stream(*given))):
                error = fails(client.errors[status], lambda way=way, text=text: way(fresh(), text, KEY))
                status_is([400] if status == 400 else [429] if status == 429 else range(500, 600), error)

    @once
    def h1_a_fault_in_mid_stream_is_raised():
        seen = []

        def read():
            text = "one two three four [[sim: events=12; error_after=6; error=server]]"
            for piece in client.stream(fresh(), text, KEY):
                seen.append(piece)

        fails(client.errors.get("stream", Exception), read)
        assert seen, "what came before the fault is delivered"
