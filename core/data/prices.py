#!/usr/bin/env python3
"""Writes prices.tsv, the catalogue of models and prices that is compiled into the core.

    python3 core/data/prices.py MODEL_PRICES_JSON DATE > core/data/prices.tsv

MODEL_PRICES_JSON is `model_prices_and_context_window_backup.json` of the Python package litellm
(MIT); DATE is the day of that release, as 2026-11-20. To refresh: fetch a newer release (`pip
download litellm --no-deps`, then unzip the wheel), run this, read the diff, check the models that
matter on their providers' pages, and run `cargo test -p tollgate-core price catalog`. Models that
the file has no longer, or has wrong, stand in BY_HAND below with the page they were read from; single
figures of those pages that it leaves out stand in LEFT_OUT.
"""

import json
import re
import sys
from collections import Counter
from decimal import Decimal

# Where a model's row comes from, and what the vendor is called here.
VENDORS = {
    "ai21": "ai21", "anthropic": "anthropic", "azure": "azure", "azure_ai": "azure-ai",
    "bedrock": "bedrock", "bedrock_converse": "bedrock", "cerebras": "cerebras",
    "cloudflare": "cloudflare", "codestral": "mistral", "cohere": "cohere", "cohere_chat": "cohere",
    "dashscope": "alibaba", "deepinfra": "deepinfra", "deepseek": "deepseek",
    "fireworks_ai": "fireworks", "fireworks_ai-embedding-models": "fireworks", "gemini": "gemini",
    "groq": "groq", "jina_ai": "jina", "mistral": "mistral", "moonshot": "moonshot",
    "nebius": "nebius", "novita": "novita", "nvidia_nim": "nvidia", "openai": "openai",
    "perplexity": "perplexity", "sambanova": "sambanova", "text-completion-openai": "openai",
    "together_ai": "together", "voyage": "voyage", "xai": "xai", "zai": "zai",
}

# Who answers for a bare model name when several vendors serve it: its makers first.
MAKERS = ["openai", "anthropic", "gemini", "mistral", "deepseek", "xai", "cohere", "moonshot", "zai",
          "alibaba", "perplexity"]
LAST = ["vertex", "bedrock", "azure-ai", "azure"]

MODES = {"chat", "responses", "completion", "embedding", "rerank", "moderation", "image_generation",
         "image_edit", "audio_speech", "audio_transcription", "video_generation", "realtime", "ocr"}
TEXT_MODES = {"chat", "responses", "completion", "realtime"}

# Our words for their fields, in the order they are written. Per million tokens:
TOKENS = {
    "input": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_cache_read": "cache_read_input_audio_token_cost",
    "audio_output": "output_cost_per_audio_token",
    "image_input": "input_cost_per_image_token",
    "image_cache_read": "cache_read_input_image_token_cost",
    "image_output": "output_cost_per_image_token",
}
# Each:
EACH = {
    "per_request": "input_cost_per_request",
    "per_image_input": "input_cost_per_image",
    "per_image": "output_cost_per_image",
    "per_second": "input_cost_per_second",
    "per_second_output": "output_cost_per_second",
    "per_character": "input_cost_per_character",
    "per_search": "input_cost_per_query",
    "per_page": "ocr_cost_per_page",
}
WORDS = list(TOKENS) + list(EACH)
SERVICES = {"batch": "_batches", "flex": "_flex", "priority": "_priority", "ultrafast": "_ultrafast"}
# A price that is not given is that of the next class.
FALLBACK = {"cache_read": "input", "cache_write": "input", "cache_write_1h": "cache_write",
            "reasoning": "output", "audio_input": "input", "audio_cache_read": "cache_read",
            "audio_output": "output", "image_input": "input", "image_cache_read": "cache_read",
            "image_output": "output"}
# Models that cost nothing where they are; any other row of zeros is a price that nobody entered.
FREE = {("gemini", "gemma-3-27b-it"), ("gemini", "gemma-4-26b-a4b-it"), ("gemini", "gemma-4-31b-it"),
        ("openai", "omni-moderation-latest"), ("openai", "omni-moderation-2024-09-26"),
        ("zai", "glm-4.7-flash"), ("zai", "glm-4.5-flash")}

# Source, vendor, model, window, output cap, prices. These win over the file.
OPENAI, ANTHROPIC = "https://platform.openai.com/docs/pricing", "https://platform.claude.com/docs/en/about-claude/pricing"
GOOGLE, XAI, GROQ = "https://ai.google.dev/gemini-api/docs/pricing", "https://docs.x.ai/docs/models", "https://groq.com/pricing"
BY_HAND_DATE = "last-listed"
SONNET = "input=3 cache_read=0.3 cache_write=3.75 cache_write_1h=6 output=15 batch input=1.5 cache_read=0.15 cache_write=1.875 cache_write_1h=3 output=7.5"
OPUS = "input=15 cache_read=1.5 cache_write=18.75 cache_write_1h=30 output=75 batch input=7.5 cache_read=0.75 cache_write=9.375 cache_write_1h=15 output=37.5"
LONG_SONNET = "input=3 cache_read=0.3 cache_write=3.75 cache_write_1h=6 output=15 >200000 input=6 cache_read=0.6 cache_write=7.5 cache_write_1h=12 output=22.5 batch input=1.5 cache_read=0.15 cache_write=1.875 cache_write_1h=3 output=7.5 batch>200000 input=3 cache_read=0.3 cache_write=3.75 cache_write_1h=6 output=11.25"
HAIKU35 = "input=0.8 cache_read=0.08 cache_write=1 cache_write_1h=1.6 output=4 batch input=0.4 cache_read=0.04 cache_write=0.5 cache_write_1h=0.8 output=2"
DALL_E_2 = "per_image=0.02 @1024x1024,standard,standard/1024x1024 per_image=0.02 @512x512,standard/512x512 per_image=0.018 @256x256,standard/256x256 per_image=0.016"
DALL_E_3 = "per_image=0.04 @1024x1024,standard,standard/1024x1024 per_image=0.04 @1024x1792,1792x1024,standard/1024x1792,standard/1792x1024 per_image=0.08 @hd,hd/1024x1024 per_image=0.08 @hd/1024x1792,hd/1792x1024 per_image=0.12"
BY_HAND = [
    (OPENAI, "openai", "chatgpt-4o-latest", 128000, 16384, "input=5 output=15"),
    (OPENAI, "openai", "dall-e-2", 0, 0, DALL_E_2),
    (OPENAI, "openai", "dall-e-3", 0, 0, DALL_E_3),
    (OPENAI, "openai", "gpt-4.5-preview", 128000, 16384, "input=75 cache_read=37.5 output=150"),
    (OPENAI, "openai", "gpt-4o-audio-preview", 128000, 16384, "input=2.5 output=10 audio_input=40 audio_output=80"),
    (OPENAI, "openai", "gpt-4o-mini-audio-preview", 128000, 16384, "input=0.15 output=0.6 audio_input=10 audio_output=20"),
    (OPENAI, "openai", "o1-mini", 128000, 65536, "input=1.1 cache_read=0.55 output=4.4"),
    (OPENAI, "openai", "o1-preview", 128000, 32768, "input=15 cache_read=7.5 output=60"),
    (ANTHROPIC, "anthropic", "claude-3-7-sonnet", 200000, 64000, SONNET),
    (ANTHROPIC, "anthropic", "claude-3-5-sonnet", 200000, 8192, SONNET),
    (ANTHROPIC, "anthropic", "claude-3-5-haiku", 200000, 8192, HAIKU35),
    (ANTHROPIC, "anthropic", "claude-3-opus", 200000, 4096, OPUS),
    (ANTHROPIC, "anthropic", "claude-3-haiku", 200000, 4096, "input=0.25 cache_read=0.03 cache_write=0.3 cache_write_1h=0.5 output=1.25 batch input=0.125 cache_read=0.015 cache_write=0.15 cache_write_1h=0.25 output=0.625"),
    (ANTHROPIC, "anthropic", "claude-sonnet-4", 200000, 64000, LONG_SONNET),
    (ANTHROPIC, "anthropic", "claude-sonnet-4-0", 200000, 64000, LONG_SONNET),
    (ANTHROPIC, "anthropic", "claude-opus-4", 200000, 32000, OPUS),
    (ANTHROPIC, "anthropic", "claude-opus-4-0", 200000, 32000, OPUS),
    (ANTHROPIC, "anthropic", "claude-opus-4-1", 200000, 32000, OPUS),
    (GOOGLE, "gemini", "gemini-1.5-pro", 2097152, 8192, "input=1.25 cache_read=0.3125 output=5 >128000 input=2.5 cache_read=0.625 output=10"),
    (GOOGLE, "gemini", "gemini-1.5-flash", 1048576, 8192, "input=0.075 cache_read=0.01875 output=0.3 >128000 input=0.15 cache_read=0.0375 output=0.6"),
    (GOOGLE, "gemini", "gemini-1.5-flash-8b", 1048576, 8192, "input=0.0375 cache_read=0.01 output=0.15 >128000 input=0.075 cache_read=0.02 output=0.3"),
    (GOOGLE, "gemini", "gemini-2.0-flash", 1048576, 8192, "input=0.1 cache_read=0.025 output=0.4 audio_input=0.7 audio_cache_read=0.175 batch input=0.05 output=0.2 audio_input=0.35"),
    (GOOGLE, "gemini", "gemini-2.0-flash-lite", 1048576, 8192, "input=0.075 output=0.3 batch input=0.0375 output=0.15"),
    (GOOGLE, "gemini", "gemini-3-pro-preview", 1048576, 65536, "input=2 cache_read=0.2 output=12 >200000 input=4 cache_read=0.4 output=18 batch input=1 output=6 batch>200000 input=2 cache_read=0.4 output=9"),
    (XAI, "xai", "grok-2", 131072, 0, "input=2 output=10"),
    (XAI, "xai", "grok-3", 131072, 0, "input=3 cache_read=0.75 output=15"),
    (XAI, "xai", "grok-3-mini", 131072, 0, "input=0.3 cache_read=0.075 output=0.5"),
    (XAI, "xai", "grok-4", 256000, 0, "input=3 cache_read=0.75 output=15 >128000 input=6 output=30"),
    (XAI, "xai", "grok-4-fast-reasoning", 2000000, 0, "input=0.2 cache_read=0.05 output=0.5 >128000 input=0.4 output=1"),
    (XAI, "xai", "grok-4-fast-non-reasoning", 2000000, 0, "input=0.2 cache_read=0.05 output=0.5 >128000 input=0.4 output=1"),
    (GROQ, "groq", "llama-3.1-8b-instant", 131072, 131072, "input=0.05 output=0.08"),
    (GROQ, "groq", "llama-3.3-70b-versatile", 131072, 32768, "input=0.59 output=0.79"),
    (GROQ, "groq", "meta-llama/llama-4-maverick-17b-128e-instruct", 131072, 8192, "input=0.2 output=0.6"),
    (GROQ, "groq", "meta-llama/llama-4-scout-17b-16e-instruct", 131072, 8192, "input=0.11 output=0.34"),
    (GROQ, "groq", "moonshotai/kimi-k2-instruct-0905", 262144, 16384, "input=1 cache_read=0.5 output=3"),
    (GROQ, "groq", "qwen/qwen3-32b", 131072, 40960, "input=0.29 output=0.59"),
]

# Figures that their rows' pages have and the file has not.
LEFT_OUT = {
    "gpt-image-1": {"output_cost_per_image_token_batches": 2e-05},
    "gemini/gemini-2.5-flash-image": {"output_cost_per_image_token_batches": 1.5e-05},
}

HEADER = """\
# Models and their prices. Written by prices.py, which says how to refresh it; compiled into the core.
#
# Columns, separated by tabs: model, vendor, tokens it reads at most (0: not known), tokens it writes
# at most (0: not known or none), source (below), prices. Sorted by model in byte order; a model of
# several vendors has a row for each, who answers for its bare name first.
#
# Prices are US dollars, exact decimals: words with `per_` in front for one of it, all others for a
# million tokens. A word without `=` opens a section whose prices replace those before it:
#   >N           prompts of more than N tokens, cached ones included
#   batch, flex, priority, ultrafast      that service; `flex>N` the same for long prompts
#   off-peak@DAYS/HOURS,…@…               in these hours (UTC; 1 is Monday)
#   @FORM,…      pictures asked for so: `hd/1024x1792`, or what of the two was said; where a row has such
#                sections, other forms have no price
# `times-us=1.1` multiplies everything where the model is run in that region (or mode: fast).
# A class of tokens without a price of its own costs what the next one does: cache reads and writes as
# input, reasoning as output, sound and pictures as text. A row without prices is a model whose price
# is not known. `~` before a figure: rounded up to nine decimals of a dollar for a million.
# Where a page names a service's price for short prompts only, its share of the usual price holds for
# long ones too. A search at several prices stands with the medium one, Perplexity's requests with the
# small one.
#
# The figures come from model_prices_and_context_window_backup.json of the Python package litellm
# (Copyright (c) 2023 Berri AI, MIT), which names these pages; `last-listed` rows are models that it
# has no longer, with the last price of their page.
#
"""


def decimal(number):
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def spelt(value):
    text = format(value.normalize(), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars(word, raw):
    """Dollars as they are written, exact to nine decimals (for a million)."""
    value = decimal(raw) * (1_000_000 if word in TOKENS else 1)
    places = 9 if word in TOKENS else 15
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding="ROUND_CEILING")
    return rounded, ("" if rounded == value else "~")


def rates(row, suffix="", long=""):
    """The prices of one section: word -> (dollars, mark)."""
    found = {}
    for word, field in {**TOKENS, **EACH}.items():
        raw = row.get(field + long + suffix)
        if isinstance(raw, (int, float)):
            found[word] = dollars(word, raw)
    return found


def base_rates(row, vendor):
    found = rates(row)
    mode = row.get("mode")
    if mode == "image_generation" and "per_image" not in found and "per_image_input" in found:
        found["per_image"] = found.pop("per_image_input")
    if mode == "audio_transcription":
        found.pop("per_second_output", None)
    # The same thing told twice, in tokens and in pieces: the tokens are what is billed.
    by_token = [word for word in ("input", "output", "image_output") if found.get(word, (0,))[0]]
    if by_token and mode in TEXT_MODES | {"audio_transcription"}:
        for word in ("per_image_input", "per_image", "per_second", "per_second_output", "per_character"):
            found.pop(word, None)
    if by_token and mode in ("image_generation", "image_edit"):
        found.pop("per_image", None)
        found.pop("per_image_input", None)
    if vendor == "anthropic" and mode in TEXT_MODES:
        found.setdefault("per_search", (Decimal("0.01"), ""))
    sizes = row.get("search_context_cost_per_query")
    if isinstance(sizes, dict):
        if vendor == "perplexity":
            found["per_request"] = dollars("per_request", sizes["search_context_size_low"])
        else:
            found["per_search"] = dollars("per_search", sizes["search_context_size_medium"])
    if vendor == "openai" and re.search(r"-search-(preview|api)\b", row["name"]) and "per_search" in found:
        # Every call of these is a search, and no answer counts them.
        found["per_request"] = found.pop("per_search")
    for word in [word for word, (value, _) in found.items() if value == 0]:
        # A chat model's output may be free; a zero anywhere else is a field nobody filled in.
        if not (word == "output" and mode in TEXT_MODES) and not free(row, vendor):
            del found[word]
    return found


def free(row, vendor):
    return (vendor, row["name"]) in FREE


def thresholds(row):
    marks = {match for key in row for match in re.findall(r"above_(\d+)k_tokens", key)}
    return sorted(int(mark) for mark in marks)


def scaled(service, base, long):
    """The long section of a service whose page names only its short one, by its share of the base."""
    found = {}
    for word, (value, mark) in long.items():
        if word in service and word in base and base[word][0]:
            product = value * service[word][0] / base[word][0]
            exact = product.quantize(Decimal("1e-9"), rounding="ROUND_CEILING")
            found[word] = (exact, mark or ("" if exact == product else "~"))
    return found


def sections(row, base):
    """Everything after the base prices: section -> its prices."""
    found = {}
    # A price of sound alone is no other price for long prompts: their text would cost the same.
    longs = {n: rates(row, "", f"_above_{n}k_tokens") for n in thresholds(row)}
    longs = {n: long for n, long in longs.items() if set(long) != {"audio_input"}}
    found.update({f">{n}000": long for n, long in longs.items()})
    for tier in row.get("tiered_pricing", [])[1:]:
        found[f">{int(tier['range'][0])}"] = rates(tier)
    for service, suffix in SERVICES.items():
        short = rates(row, suffix)
        if not short:
            continue
        if "cache_write" in short and "cache_write" in base and "cache_write_1h" in base:
            share = {"cache_write_1h": short["cache_write"]}
            whole = {"cache_write_1h": base["cache_write"]}
            short = {**scaled(share, whole, {"cache_write_1h": base["cache_write_1h"]}), **short}
        found[service] = short
        for n, long in longs.items():
            own = rates(row, suffix, f"_above_{n}k_tokens")
            found[f"{service}>{n}000"] = {**scaled({**base, **short}, base, long), **own}
    off = row.get("off_peak_pricing")
    if off:
        found["off-peak" + "".join(window(w) for w in off["windows"])] = rates(off)
    return found


def window(raw):
    hours = raw["hours_utc"]
    spans = [hours] if isinstance(hours, str) else hours
    # Midnight at the end of a span is the day's end.
    spans = [re.sub(r"-00:00$", "-24:00", span) for span in spans]
    return "@" + "".join(str(day) for day in raw["weekdays"]) + "/" + ",".join(spans)


def written(base, others, times):
    words = [f"{word}={mark}{spelt(value)}" for word, (value, mark) in ordered(base)]
    for name, prices in others.items():
        told = [f"{word}={mark}{spelt(value)}" for word, (value, mark) in ordered(prices)
                if (value or (word == "output" and word in base)) and (name not in SERVICES or base.get(word) != (value, mark))]
        if told:
            words += [name] + told
    return " ".join(words + [f"times-{name}={spelt(value)}" for name, value in sorted(times.items())])


def ordered(prices):
    return sorted(prices.items(), key=lambda item: WORDS.index(item[0]))


def prices(row, vendor):
    first = (row.get("tiered_pricing") or [{}])[0]
    base = {**base_rates(row, vendor), **rates(first)}
    for word, next_one in FALLBACK.items():
        if word in base and base.get(next_one) == base[word]:
            if not any(word in prices for prices in sections(row, base).values()):
                del base[word]
    if not base or (all(value == 0 for value, _ in base.values()) and not free(row, vendor)):
        return ""
    times = {}
    for name, value in (row.get("provider_specific_entry") or {}).items():
        if name in ("us", "eu", "fast") and isinstance(value, (int, float)):
            times[name] = decimal(value)
    for region in ("us", "eu"):
        value = row.get(f"regional_processing_uplift_multiplier_{region}")
        if value:
            times[region] = decimal(value)
    return written(base, sections(row, base), times)


def model_name(key, provider, vendor):
    """The vendor's own name for it; None for rows that are no model of a vendor's list."""
    name = key.removeprefix(provider + "/")
    if provider.startswith("vertex_ai"):
        name = key.removeprefix("vertex_ai/")
    if re.search(r"\d-x-\d|commitment|\d+b-to-\d+b|^fireworks-ai-|^(global|global-standard|standard|hd|high|medium|low)/|/guardrails$|^container$", name):
        return None
    if re.match(r"\d", name) and "/" in name:
        return None
    if vendor == "fireworks" and not name.startswith("accounts/"):
        return None
    if vendor == "bedrock" and "/" in name:
        return None  # A region's own price: the model's name does not carry the region.
    if vendor == "perplexity" and "/" in name:
        return None
    if vendor == "together" and ("/" not in name or name.startswith("togethercomputer/")):
        return None
    if vendor == "openai" and "/" in name:
        name = name.removeprefix("openai/")
    if vendor in ("cohere", "deepseek", "gemini", "mistral", "openai"):
        name = name.removeprefix(vendor + "/")
    return name.removesuffix("@default").removesuffix("@latest")


def number(value):
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def limits(row):
    window = number(row.get("max_input_tokens") or row.get("max_tokens"))
    output = number(row.get("max_output_tokens")) if row.get("mode") in TEXT_MODES else 0
    return window, output


def source(row):
    text = row.get("source")
    if not isinstance(text, str) or not text.startswith("http"):
        return "litellm"
    return re.sub(r"[?#].*", "", text).rstrip("/")


DATED = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|@\d{8}|-0\d\d|-latest)$")


def gather(path, date):
    found = {}
    for key, row in json.load(open(path)).items():
        provider = row.get("litellm_provider") or ""
        vendor = "vertex" if provider.startswith("vertex_ai") else VENDORS.get(provider)
        if vendor is None or row.get("mode") not in MODES:
            continue
        name = model_name(key, provider, vendor)
        if not name:
            continue
        row["name"] = name
        for field, value in LEFT_OUT.get(key, {}).items():
            row.setdefault(field, value)
        entry = (*limits(row), (source(row), date), prices(row, vendor))
        # The same model under two of their keys: the one that says more.
        if (name, vendor) not in found or len(entry[3]) > len(found[name, vendor][3]):
            found[name, vendor] = entry
    for page, vendor, name, window, output, text in BY_HAND:
        found[name, vendor] = (window, output, (page, BY_HAND_DATE), text)
    # A dated version that says nothing new is found under the plain name.
    for name, vendor in list(found):
        plain = DATED.sub("", name)
        if plain != name and (plain, vendor) in found:
            mine, its = found[name, vendor], found[plain, vendor]
            if mine[3] == its[3] and mine[:2] == its[:2]:
                del found[name, vendor]
    return found


def rank(vendor):
    first = MAKERS.index(vendor) if vendor in MAKERS else len(MAKERS)
    return (LAST.index(vendor) + 1 if vendor in LAST else 0, first, vendor)


def main(path, date):
    found = gather(path, date)
    counts = Counter(entry[2] for entry in found.values())
    # A page that is one model's own is told by its site.
    site = lambda where: where if counts[where] > 4 or where[0] == "litellm" else (
        "/".join(where[0].split("/")[:3]), where[1])
    sources = sorted({site(entry[2]) for entry in found.values()})
    out = [HEADER]
    for index, (page, day) in enumerate(sources):
        out.append(f"# source {index}\t{day}\t{page}\n")
    for (name, vendor), entry in sorted(found.items(), key=lambda item: (item[0][0].encode(), rank(item[0][1]))):
        window, output, where, text = entry
        out.append(f"{name}\t{vendor}\t{window}\t{output}\t{sources.index(site(where))}\t{text}\n")
    sys.stdout.write("".join(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
