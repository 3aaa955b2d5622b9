"""Cohere's own client, as far as its paths are served: ranks, in both of its versions."""

from importlib.metadata import version

import cohere
from harness import DIRECT, KEY, URL, check, missing_model, model_for, raises, run

MODEL = "rerank-v3.5" if DIRECT else "good/rerank-v3.5"
DOCUMENTS = ["you", "help", "hello"]
ONCE = {"max_retries": 0}


def clients(key):
    return cohere.Client(api_key=key, base_url=URL), cohere.ClientV2(api_key=key, base_url=URL)


def ranked(client, model=MODEL, query="hello", **rest):
    return client.rerank(model=model, query=query, documents=DOCUMENTS, request_options=ONCE, **rest)


@check
def documents_are_ranked():
    for client in clients(KEY):
        answer = ranked(client, top_n=2)
        assert [result.index for result in answer.results] == [2, 1], answer
        assert answer.meta.billed_units.search_units == 1, answer


@check
def errors_keep_their_classes():
    for client in clients(KEY):
        for directives, kind in (
            ("error=bad_request", cohere.BadRequestError),
            ("status=429; retry_after=1", cohere.TooManyRequestsError),
        ):
            query = f"hello [[sim: {directives}]]"
            error = raises(kind, lambda: ranked(client, model_for(directives), query))
            assert kind != cohere.TooManyRequestsError or error.headers.get("retry-after"), "k3: when to come back"
        if not DIRECT:
            raises(cohere.NotFoundError, lambda: ranked(client, missing_model()[0]))
    for stranger in clients("sk-wrong"):
        error = raises(cohere.UnauthorizedError, lambda: ranked(stranger))
        assert "sk-wrong" not in str(error.body), "the key must not come back"


run(f"cohere {version('cohere')}")
