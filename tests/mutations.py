"""Small valid inputs, and mutations (rng, bytes) -> bytes that make them invalid.

Only the output of `any_bytes` may still be valid.
"""

import gzip
import io
import json

import numpy as np

IDS = [None, [], {}, 1.5, True, "", " x", "a\tb", "a\nb", "\ud800"]
NOT_TEXT = [None, 1, [], {}, True, "\udfff"]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


CORPUS = [{"_id": f"d{n}", "title": f"T{n}", "text": f"word{n} and more"} for n in range(6)]
QUERIES = [{"_id": f"q{n}", "text": f"word{n}"} for n in range(4)]
QRELS = b"query-id\tcorpus-id\tscore\n" + b"".join(b"q%d\td%d\t1\n" % (n, n) for n in range(4))
EVENTS = [(f"u{n % 3}", f"i{n % 4}", 1000 + n) for n in range(18)]
LOG = b"user,item,time\n" + b"".join(
    b"%s,%s,%d\n" % (u.encode(), i.encode(), t) for u, i, t in EVENTS
)
ITEMS = [{"_id": f"i{n}", "title": f"I{n}"} for n in range(4)]
SEQUENCES = [{"user": f"u{n}", "items": ["i0", "i1", "i2", "i3"]} for n in range(3)]
DOCUMENTS = [{"id": f"d{n}", "title": f"T{n}", "body": f"word{n}"} for n in range(4)]


# mutations: (rng, bytes) -> invalid bytes


def bad_byte(rng, content):
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice([b"\xff", b"\xc3(", b"\xed\xa0\x80"]) + content[place:]


def cut_gzip(rng, content):
    whole = gzip.compress(content)
    return whole[: rng.randrange(1, len(whole))]


def line(change):
    """A mutation that replaces a random line by `change(rng, line)`."""

    def mutate(rng, content):
        lines = content.splitlines()
        place = rng.randrange(len(lines))
        lines[place] = change(rng, lines[place])
        return b"\n".join(lines) + b"\n"

    return mutate


def row(change):
    """A mutation of the cells of a random line after the header."""

    def mutate(rng, content):
        head, *lines = content.splitlines()
        place = rng.randrange(len(lines))
        mark = b"\t" if b"\t" in head else b","
        cells = lines[place].split(mark)
        lines[place] = mark.join(change(rng, cells))
        return b"\n".join([head, *lines]) + b"\n"

    return mutate


def value(key, choices):
    """A mutation of the value of a key in one object."""

    def mutate(rng, text):
        return json.dumps(json.loads(text) | {key: rng.choice(choices)}).encode()

    return line(mutate)


def without(key):
    return line(
        lambda rng, text: json.dumps(
            {k: v for k, v in json.loads(text).items() if k != key}
        ).encode()
    )


def cell(place, choices):
    return row(lambda rng, cells: [*cells[:place], rng.choice(choices), *cells[place + 1 :]])


def replaced(old, choices):
    return lambda rng, content: content.replace(old, rng.choice(choices), 1)


def repeated(rng, content):
    lines = content.splitlines(keepends=True)
    return content + rng.choice(lines)


JSON = [
    bad_byte,
    line(lambda rng, text: text[: rng.randrange(1, len(text))]),
    line(lambda rng, text: rng.choice([b"1", b"null", b'"x"', b"{}", b"[[]]", b"{]", b"nope"])),
    line(lambda rng, text: text[:-1] + b', "x": ' + b"[" * 60 + b"]" * 60 + b"}"),
    line(lambda rng, text: text[:-1] + b', "x": ' + b"1" * 5000 + b"}"),
]
CORPUS_BAD = [*JSON, value("_id", IDS), value("text", NOT_TEXT), value("title", NOT_TEXT[1:])]
CORPUS_BAD += [
    without("_id"),
    without("text"),
    repeated,
    lambda rng, content: b" \n" * rng.randrange(3),
]
QUERIES_BAD = [
    *JSON,
    value("_id", IDS),
    value("text", [*NOT_TEXT, "", " "]),
    without("text"),
    repeated,
]
QRELS_BAD = [
    bad_byte,
    cell(2, [b"O1", b"", b"1.5", b"nan", b"9" * 30, b"1e2"]),
    cell(0, [b"", b"q9", b"Q1"]),
    cell(1, [b"", b"d99"]),
    row(lambda rng, cells: cells[: rng.randrange(1, 3)]),
    row(lambda rng, cells: [*cells, b"x"]),
    lambda rng, content: content.replace(b"\t1\n", rng.choice([b"\t0\n", b"\t-1\n"])),
    lambda rng, content: content + b"q0\td0\t2\n",
    lambda rng, content: b"q0\td0\tO1\n" + content.split(b"\n", 1)[1],
]
LOG_BAD = [
    bad_byte,
    cell(0, [b"", b" ", b'"a"b', b'"open', b"a\rb"]),
    cell(1, [b"", b" ", b'"a"b', b'"open']),
    cell(
        2, [b"", b"noon", b"nan", b"inf", b"1e999", b"2020-01-01", b"1_0", b"9" * 40, b"3/4/2020"]
    ),
    row(lambda rng, cells: cells[: rng.randrange(1, 3)]),
    row(lambda rng, cells: [*cells, b"x"]),
    replaced(b"user,", [b"colour,", b"item,", b",", b"time,"]),
    replaced(b",item", [b",colour", b",user", b",time", b","]),
    replaced(b",time", [b",watch_time", b",date taken", b",user", b",stamp"]),
    lambda rng, content: b"".join(content.splitlines(keepends=True)[: rng.randrange(3)]),
]
SEQUENCES_BAD = [
    *JSON,
    value("user", IDS),
    value("items", [None, [], {}, "ab", [1.5], [""], [None], ["new"]]),
]
SEQUENCES_BAD += [value("held", [3, [], {"test": 9}, {"test": "1"}, {"test": -1}]), repeated]
SEQUENCES_BAD += [value("times", [1, [1], ["a", "b", "c", "d"], [1, 2, 3, None], [1, 2, 3, 1e300]])]
ITEMS_BAD = [*JSON, value("_id", IDS), value("_id", ["other"]), without("_id"), repeated]
TEXT_BAD = [
    bad_byte,
    lambda rng, content: content + rng.choice([b"u0 i1\n", b"u9\n", b"u9 i0 new\n"]),
    lambda rng, content: b"\n".join(text[:4] for text in content.splitlines()),
    lambda rng, content: b"\n" * rng.randrange(3),
]
DOCUMENTS_BAD = [*JSON, value("id", IDS), repeated, value("body", ["\ud800"])]
TABLE_BAD = [bad_byte, row(lambda rng, cells: [*cells, b"x"]), repeated]
TABLE_BAD += [cell(0, [b"", b'"a"b', b'"open'])]
ASKED_BAD = [
    bad_byte,
    line(lambda rng, text: text[: rng.randrange(1, len(text))]),
    line(
        lambda rng, text: rng.choice(
            [b"[]", b"1", b"{}", b'["new"]', b'"i0"', b"[1.5]", b'[["i0"]]']
        )
    ),
]
RUN_BAD = [
    bad_byte,
    line(lambda rng, text: b" ".join(text.split()[: rng.randrange(1, 6)])),
    line(lambda rng, text: text + b" x"),
    line(
        lambda rng, text: text.replace(
            b" 0.5 ", rng.choice([b" high ", b" nan ", b" inf ", b" 1e999 "])
        )
    ),
    line(lambda rng, text: text.replace(b" d", b" x")),
    lambda rng, content: content.replace(b"q", b"other"),
    repeated,
]
LABELS_BAD = [
    bad_byte,
    lambda rng, content: content + b"x\n",
    lambda rng, content: content.split(b"\n", 1)[1],
]


def pair(keys, wrong):
    """A mutation of the value of a random key of a JSON object."""

    def mutate(rng, content):
        value = json.loads(content)
        value[rng.choice(keys or list(value))] = rng.choice(wrong)
        return json.dumps(value).encode()

    return mutate


def inside(*places, wrong):
    """A mutation of the value at a random one of these paths into a JSON value."""

    def mutate(rng, content):
        value = here = json.loads(content)
        *path, last = rng.choice(places)
        for step in path:
            here = here[step]
        here[last] = rng.choice(wrong)
        return json.dumps(value).encode()

    return mutate


def cut(rng, content):
    return content[: rng.randrange(len(content))]


NOT_JSON = [
    bad_byte,
    lambda rng, content: content[: rng.randrange(content.rstrip().rindex(b"}"))],
    lambda rng, content: rng.choice([b"", b"[]", b"1", b"null", b'"x"', b"[" * 9999, b"{}"]),
]
BYTES_BAD = [cut, lambda rng, content: rng.choice([b"", b"\0" * 99, b"\xff" * 999])]
WRONG = ["x", "", -1, 1.5, [], {}, 10**12, 1e400, [[1]], {"a": 1}]
DOCIDS_BAD = [*NOT_JSON, pair(["kind", "levels", "codes", "collisions", "documents"], WRONG)]
DOCIDS_BAD += [pair(["relative_error"], ["x", [], {}])]
NUMBERS = ["vocab_size", "d_model", "num_heads", "d_kv", "d_ff", "num_layers", "num_decoder_layers"]
NUMBERS += ["relative_attention_num_buckets", "relative_attention_max_distance"]
T5_CONFIG_BAD = [
    *NOT_JSON,
    pair(NUMBERS, [*WRONG, 0, True, 1.0, "8", 2**31 - 1]),
    pair(NUMBERS[:-1], [1000, 10**6, 3]),
    pair(["dropout_rate"], [*WRONG, True, 1, float("nan")]),
    pair(["tie_word_embeddings"], [*WRONG, None, 0, 1, "true"]),
    pair(["model_type", "feed_forward_proj"], [*WRONG, None, True, "bert", "gated-silu"]),
    pair(["layer_norm_epsilon", "pad_token_id", "decoder_start_token_id"], [*WRONG, None, 7]),
]
INDEX_BAD = [
    *NOT_JSON,
    pair(["weight_map"], [*WRONG, None, ["a"], {"x": 1}, {"x": None}, {"x": "../b.safetensors"}]),
    pair(["weight_map"], [{"x": "missing"}, {"x": ["b.safetensors"]}, {"x": "b.safetensors"}]),
]
TOKENIZER_BAD = [
    *NOT_JSON,
    inside(["model"], ["model", "vocab"], wrong=[*WRONG, None]),
    # an empty list is none: special tokens are read from the vocabulary
    inside(["added_tokens"], wrong=[value for value in WRONG if value != []] + [None]),
    inside(["model", "type"], ["version"], wrong=["BPE", "x", [], 1]),
    inside(["model", "vocab", 0], ["model", "vocab", 4], wrong=["x", 1, [1, 2], ["x"], None, {}]),
    inside(["normalizer"], ["pre_tokenizer"], ["decoder"], wrong=["x", 1, [1], {"type": "x"}]),
]
SIZES = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"]
SIZES += ["max_position_embeddings", "type_vocab_size", "num_attention_heads"]
REQUEST_BAD = [
    *NOT_JSON,
    pair(["query"], [None, 1, [], {}, "", " ", "x" * 999, ["x"]]),
    pair(["k"], [0, -1, 1.5, "x", None, [], 10**9, 1e400]),
    pair(["beam", "allowed", "excluded", "kk"], ["x", 0, {}, [1], ["nobody"], "d0", 1.5]),
    pair(["system"], ["nobody", "", 1, [], {}, "../search"]),
]
BERT_CONFIG_BAD = [
    *NOT_JSON,
    pair(SIZES, [*WRONG, 0, True, 4.0, "8", 2**31 - 1, 1000, 3]),
    pair(["layer_norm_eps", "pad_token_id"], [*WRONG, None, True, 2**40, 10.0, float("nan")]),
    pair(["model_type", "hidden_act", "is_decoder"], [*WRONG, None, True, 0, "t5"]),
]
POOLING_BAD = [*NOT_JSON[:2], pair(["pooling_mode_max_tokens"], [True, 1, "x"])]
POOLING_BAD += [pair(["pooling_mode"], ["max", 1, ["mean", "cls"], {"a": 1}, [1]])]
MODULES_BAD = [bad_byte, cut, lambda rng, content: rng.choice([b"1", b"{}", b"[1]", b"[[]]"])]
MODULES_BAD += [inside([0, "type"], [1, "type"], wrong=[1, None, [], "x"])]
MODULES_BAD += [inside([0, "path"], [1, "path"], wrong=[1, None, [], {}])]
TEXTS_BAD = [*NOT_JSON[:2], pair(["max_seq_length"], [*WRONG, 0, 2, True])]
TEXTS_BAD += [pair(["do_lower_case"], ["x", 1, None, [], {}])]
PROMPTS_BAD = [*NOT_JSON[:2], pair(["prompts"], ["x", 1, [], [1], {"query": 1}, {"a": None}])]
WORDS_BAD = [
    *NOT_JSON,
    inside(["model"], ["model", "vocab"], wrong=["x", 1, [1], {"a": -1}, {"a": "x"}, [[1]]]),
    inside(["model", "type"], ["version"], wrong=["x", 1, []]),
    inside(["model", "vocab", "here"], ["model", "vocab", "[UNK]"], wrong=[6, 10**9, -1, "x", {}]),
    inside(["normalizer"], ["pre_tokenizer"], ["decoder"], wrong=["x", 1, [1], {"type": "x"}]),
]
DATASET_BAD = [
    *NOT_JSON,
    pair(["metadata"], [{}, {"zoo": 1}, {"zoo": {}}, {"zoo": {"name": 1}}, [], "x", 1]),
    pair(["fileFormat"], ["x", 1, [], {}]),
    pair(["splits"], [[], [1], "x", [{}], [{"name": "other"}]]),
    pair(["version"], ["x", 1, [], "9"]),
]


def vectors(rng):
    """A file of vectors with one defect."""
    good = np.arange(16, dtype=rng.choice([np.float32, np.float64])).reshape(4, 4) + 1
    kind = rng.randrange(6)
    if kind == 0:
        good[rng.randrange(4), rng.randrange(4)] = rng.choice([np.nan, np.inf, -np.inf])
    elif kind == 1:
        good = rng.choice([good.astype(int), good[0], good[None], good[:0], good > 2, good + 1j])
    content = npy(good)
    if kind == 2:
        content = content[: rng.randrange(len(content))]
    elif kind == 3:
        content += b"x" * rng.randrange(1, 99)
    elif kind == 4:
        shape = rng.choice(
            [b"(9999999999999, 4)", b"(4, 5)   ", b"(4, 4 ", b"(-4, 4)", b"((((((((("]
        )
        content = content.replace(b"(4, 4)", shape.ljust(6)[: max(6, len(shape))], 1)
    elif kind == 5:
        content = (
            rng.choice([b"", b"PK", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff"]) + content[20:]
        )
    return content


def parquet(rng, content):
    """Parquet without a column, with a blank id, or truncated."""
    users, items = [u for u, _, _ in EVENTS], [i for _, i, _ in EVENTS]
    column = rng.choice([users, items])
    match rng.randrange(4):
        case 0:
            column[rng.randrange(len(column))] = rng.choice([None, "", " ", "a\tb"])
        case 1:
            return table(rng.choice([{"user": users, "time": items}, {"item": items, "n": users}]))
        case 2:
            return table({"user": users, "item": [float(len(item)) for item in items]})
        case _:
            whole = table({"user": users, "item": items})
            return whole[: rng.randrange(len(whole))]
    return table({"user": users, "item": items})


def table(columns):
    """The bytes of a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def any_bytes(rng, content):
    """Changes, drops or inserts a few bytes anywhere."""
    content = bytearray(content)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(content) + 1)
        match rng.randrange(3):
            case 0:
                content[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del content[place : place + rng.randrange(1, 9)]
            case _:
                content[place:place] = rng.choice(
                    [b'"', b",", b"\n", b"\t", b"{", b"\\ud800", b"\0"]
                )
    return bytes(content)
