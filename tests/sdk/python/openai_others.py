"""The official OpenAI client on everything besides chat and Responses."""

import io
import os

import openai
from harness import KEY, MODEL, URL, check, model_for, raises, run

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=20)

# Upstreams of every dialect there is; plain completions are asked of each.
MODELS = os.environ.get("TOLLGATE_MODELS", MODEL).split()

SOUND = b"RIFF\x00\xff\r\n--not-a-boundary\r\n" + bytes(range(256)) * 64


@check
def a_completion_continues_a_text_whoever_writes_it():
    for model in MODELS:
        answer = client.completions.create(model=model, prompt="hello", max_tokens=50)
        assert answer.choices[0].text == "You said: hello", answer
        assert answer.object == "text_completion" and answer.choices[0].finish_reason == "stop", answer
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


@check
def a_completion_streams_and_tells_its_usage_where_that_is_asked_for():
    for model in MODELS:
        options = {"include_usage": True}
        chunks = list(
            client.completions.create(model=model, prompt="one two", max_tokens=50, stream=True, stream_options=options)
        )
        text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
        assert text == "You said: one two", (model, text)
        assert chunks[-1].usage.completion_tokens > 0, chunks[-1]
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"


@check
def several_prompts_have_several_answers_and_echo_repeats_them():
    answer = client.completions.create(model=MODEL, prompt=["a", "b"], n=2, max_tokens=50, echo=True)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text.startswith("a") and answer.choices[3].text.startswith("b"), answer


@check
def vectors_come_in_the_order_of_their_texts():
    answer = client.embeddings.create(model=MODEL, input=["hello", "you", "hello"])
    assert len(answer.data) == 3 and len(answer.data[0].embedding) == 4
    assert answer.data[0].embedding == answer.data[2].embedding != answer.data[1].embedding
    plain = client.embeddings.create(model=MODEL, input="hello", encoding_format="float")
    assert plain.data[0].embedding == answer.data[0].embedding and plain.usage.prompt_tokens == 2


@check
def moderation_has_a_verdict_for_each_text():
    answer = client.moderations.create(model=MODEL, input=["hello", "kill", "you"])
    assert [result.flagged for result in answer.results] == [False, True, False]


@check
def pictures_are_drawn_changed_and_varied():
    drawn = client.images.generate(model=MODEL, prompt="a cat", n=2)
    assert len(drawn.data) == 2 and drawn.usage.output_tokens == 200, drawn
    changed = client.images.edit(model=MODEL, image=("a.png", io.BytesIO(SOUND), "image/png"), prompt="a dog")
    assert len(changed.data) == 1 and changed.usage.output_tokens == 100, changed
    several = client.images.edit(model=MODEL, image=[("a.png", SOUND), ("b.png", SOUND)], prompt="a dog", n=3)
    assert len(several.data) == 3, several
    varied = client.images.create_variation(model=MODEL, image=("a.png", SOUND, "image/png"), n=2)
    assert len(varied.data) == 2, varied


@check
def a_picture_streams_in_parts():
    events = list(client.images.generate(model=MODEL, prompt="a cat", stream=True, partial_images=2))
    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"], kinds
    assert events[-1].usage.output_tokens == 100


@check
def speech_is_bytes_whole_or_as_they_come():
    whole = client.audio.speech.create(model=MODEL, voice="alloy", input="read this aloud").content
    assert len(whole) == 8 * len("read this aloud") and whole[:3] == b"rst", whole[:8]
    with client.audio.speech.with_streaming_response.create(
        model=MODEL, voice="alloy", input="read this aloud", response_format="wav"
    ) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        assert b"".join(answer.iter_bytes()) == whole


@check
def recordings_become_words_in_every_form():
    said = client.audio.transcriptions.create(model=MODEL, file=("a.wav", SOUND)).text
    assert said.startswith(f"I heard {len(SOUND)} bytes"), said
    text = client.audio.transcriptions.create(model=MODEL, file=("a.wav", SOUND), response_format="text")
    assert str(text).strip() == said, text
    events = list(client.audio.transcriptions.create(model=MODEL, file=("a.wav", SOUND), stream=True))
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == said
    assert events[-1].type == "transcript.text.done" and events[-1].text == said
    english = client.audio.translations.create(model=MODEL, file=("a.wav", SOUND)).text
    assert english == said, english


@check
def what_is_wrong_is_an_error_of_the_clients_own():
    error = raises(openai.BadRequestError, lambda: client.moderations.create(model=MODEL, input=[]), {400})
    assert error.param == "input", error
    broken = model_for("status=500")
    raises(
        openai.InternalServerError,
        lambda: client.images.generate(model=broken, prompt="a cat [[sim: status=500]]"),
        {500, 502},
    )
    limited = model_for("status=429")
    raises(
        openai.RateLimitError,
        lambda: client.audio.speech.create(model=limited, voice="alloy", input="a [[sim: status=429]]"),
        {429},
    )
    unknown = raises(openai.NotFoundError, lambda: client.embeddings.create(model="no-such/model", input="a")) if MODEL == "chat" else None
    assert unknown is None or unknown.code == "model_not_found", unknown


run(f"openai {openai.__version__} on the other surfaces")
