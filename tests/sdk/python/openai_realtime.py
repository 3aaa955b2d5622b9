"""The official OpenAI client in realtime sessions."""

import asyncio
import base64

import openai
import websockets
from harness import KEY, MODEL, URL, check, model_for, raises, run

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=20)


def say(session, text):
    content = [{"type": "input_text", "text": text}]
    session.conversation.item.create(item={"type": "message", "role": "user", "content": content})
    session.response.create()


def until(session, kind):
    """The event of this type, and all before it."""
    seen = []
    for event in session:
        seen.append(event)
        if event.type == kind:
            return event, seen
    raise AssertionError(f"no {kind} in {[event.type for event in seen]}")


@check
def a_session_answers_twice_with_usage():
    with client.realtime.connect(model=MODEL) as session:
        until(session, "session.created")
        session.session.update(session={"type": "realtime", "instructions": "be brief"})
        updated, _ = until(session, "session.updated")
        assert updated.session.instructions == "be brief", updated
        for text in ("one two", "three"):
            say(session, text)
            done, seen = until(session, "response.done")
            deltas = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
            assert deltas == f"You said: {text}", deltas
            usage = done.response.usage
            assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0, usage
            assert usage.input_token_details.cached_tokens == 0, usage


@check
def sound_goes_up_as_it_is():
    with client.realtime.connect(model=MODEL) as session:
        until(session, "session.created")
        transcription = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        session.session.update(session={"type": "realtime", **transcription})
        until(session, "session.updated")
        session.input_audio_buffer.append(audio=base64.b64encode(bytes(48000)).decode())
        session.input_audio_buffer.commit()
        kind = "conversation.item.input_audio_transcription.completed"
        done, _ = until(session, kind)
        assert done.usage.input_tokens == 20, done


@check
def an_event_that_is_none_is_an_error_and_the_session_goes_on():
    with client.realtime.connect(model=MODEL) as session:
        until(session, "session.created")
        session.send({"type": "nonsense"})
        error, _ = until(session, "error")
        assert error.error.type == "invalid_request_error", error
        say(session, "still here")
        until(session, "response.done")


@check
def several_at_once_do_not_mix():
    async def one(number):
        aclient = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=20)
        async with aclient.realtime.connect(model=MODEL) as session:
            content = [{"type": "input_text", "text": f"number {number}"}]
            await session.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await session.response.create()
            text = ""
            async for event in session:
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "response.done":
                    return text

    async def all_of_them():
        return await asyncio.gather(*(one(number) for number in range(20)))

    assert asyncio.run(all_of_them()) == [f"You said: number {number}" for number in range(20)]


@check
def a_wrong_key_is_refused_before_the_session():
    wrong = openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-wrong", max_retries=0, timeout=20)

    def connect():
        with wrong.realtime.connect(model=MODEL):
            pass

    error = raises(websockets.exceptions.InvalidStatus, connect)
    assert error.response.status_code == 401, error


@check
def an_upstream_that_breaks_off_ends_the_session():
    with client.realtime.connect(model=model_for("cut_after_events=2")) as session:
        until(session, "session.created")
        say(session, "hello [[sim: cut_after_events=2]]")
        try:
            _, seen = until(session, "error")
            assert seen[-1].error.code == "upstream_error", seen[-1]
            raises(websockets.exceptions.ConnectionClosedError, session.recv)
        except websockets.exceptions.ConnectionClosedError:
            # Without a gateway nobody tells.
            pass


run("openai-realtime")
