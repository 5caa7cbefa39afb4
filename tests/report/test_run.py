"""The page of a run is self-contained, shows the values of evaluate, and escapes text."""

import base64
import dataclasses
import io
import re
import shutil
import types

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.cli import main
from zoo.data import categories, histories, toy
from zoo.metrics import compare, exposure, measures, recommend, transitions
from zoo.report import examples, html, results, run, sections

# markup, invalid mathematics, scripts without a font
NASTY = "<b>&\"'</b> $x_{$ \u05d0\u4e2d"
FEW = {"fewest_steps": 30, "most_steps": 30}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(folder of data with titles that begin with NASTY, folder of a TIGER of few steps, its page).

    Most of its time is compilation.
    """
    place = tmp_path_factory.mktemp("runs")
    walks = toy.interactions()
    texts = tuple(f"genres: {NASTY if row % 3 else '_hidden'}, x" for row in range(40))
    corpus = records.Corpus(
        walks.corpus.ids, tuple(f"{NASTY} {title}" for title in walks.corpus.titles), texts
    )
    histories.write(dataclasses.replace(walks, corpus=corpus), place / "data")
    options = [f"--set={key}={value}" for key, value in {**FEW, "levels": 2, "codes": 4}.items()]
    assert (
        main.main(
            [
                "fit",
                "tiger",
                "--size",
                "tiny",
                *options,
                "--data",
                str(place / "data"),
                "--out",
                str(place / "tiger"),
            ]
        )
        == 0
    )
    assert main.main(["report", str(place / "tiger"), "--out", str(place / "page.html")]) == 0
    return place / "data", place / "tiger", (place / "page.html").read_text(encoding="utf-8")


def rows_of(source, heading):
    """Cells of the table after a heading, as lists of text."""
    table = source[source.index(f">{html.escaped(heading)}</h") :]
    table = table[table.index("<table>") : table.index("</table>")]
    return [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)]
        for row in re.findall("<tr.*?</tr>", table)
    ]


def test_the_page_is_self_contained(reader, runs):
    read = reader(runs[2])
    links = [
        value for _, name, value in read.attributes if name in ("src", "href", "srcset", "data")
    ]
    assert links and all(value.startswith("data:image/png;base64,") for value in links)
    assert not {"link", "iframe", "object"} & set(read.tags)  # scripts are in the page: no src
    namespace = re.escape("http://www.w3.org/2000/svg")
    assert (
        "http" not in re.sub(rf"data:image/png;base64,[\w+/=]*|{namespace}", "", runs[2])
        and "@import" not in runs[2]
        and "url(" not in runs[2]
    )


def test_every_figure_is_a_png(reader, runs):
    import matplotlib.image

    pictures = [
        value for tag, name, value in reader(runs[2]).attributes if (tag, name) == ("img", "src")
    ]
    assert len(pictures) == 3  # training, tree of codes, differences
    for picture in pictures:
        image = matplotlib.image.imread(
            io.BytesIO(base64.b64decode(picture.partition(",")[2], validate=True)), format="png"
        )
        assert image.shape[1] > 600 and image[..., :3].std() > 0.05


def test_titles_are_escaped(reader, runs):
    read = reader(runs[2])
    assert "b" not in read.tags and "<b>" not in runs[2]
    # ten users with ten answers and some history
    assert sum(text.startswith(NASTY) for text in read.texts) > 100


def test_numbers_equal_those_of_evaluate(runs):
    data, folder, source = runs
    own = zoo.evaluate(zoo.load(folder), data, split="dev")
    baselines = {
        name: zoo.fit(recipe, data, options=options, quiet=True)
        for name, recipe, options in run.BASELINES["history"]
    }
    rivals = {name: zoo.evaluate(fitted, data, split="dev") for name, fitted in baselines.items()}
    header, *rows = rows_of(source, "Results on dev")
    assert header == ["system", *map(measures.label, recommend.DEFAULT)]
    assert [row[0] for row in rows] == ["tiger-rqkmeans", *rivals]
    for row, result in zip(rows, (own, *rivals.values())):
        assert row[1:] == [f"{result.measures[name]:.4f}" for name in recommend.DEFAULT]
    for row, (name, rival) in zip(rows_of(source, "Differences")[1:], rivals.items()):
        gap = own.per_query["nDCG@10"] - rival.per_query["nDCG@10"]
        low, high = compare.bootstrap_interval(gap)
        assert row[:4] == ["nDCG@10", name, f"{gap.mean():+.4f}", f"[{low:+.4f}, {high:+.4f}]"]
    _, items, named = rows_of(source, "Items and identifiers")
    assert items[1:] == rows[0][1:]
    assert (
        named[1:]
        == [f"{own.by_identifier[name].mean():.4f}" for name in recommend.DEFAULT]
        != items[1:]
    )
    shown = rows_of(source, "Coverage and speed")[1]
    assert shown[1:4] == [
        f"{exposure.coverage(own.ranking):.4f}",
        f"{exposure.gini(own.ranking):.4f}",
        "0.00%",
    ]
    by_popularity = rows_of(source, "Recall@10 by popularity")
    assert by_popularity[1][1:] == [
        f"{own.measures[f'R@10 {name}']:.4f}" for name in ("head", "middle", "tail")
    ]
    named, by_transition = rows_of(source, "Recall@10 by transition")[:2]
    assert [title.split(" (")[0] for title in named[1:]] == [
        name for name in transitions.KINDS if f"users {name}" in own.measures
    ]
    assert by_transition[1:] == [
        f"{own.measures[f'R@10 {title}']:.4f}" for title in (t.split(" (")[0] for t in named[1:])
    ]
    assert (
        f"tiger-rqkmeans reaches nDCG@10 {own.measures['nDCG@10']:.4f} on 200 users of dev: "
        "behind the best baseline, Markov chain" in source
    )


def test_the_test_split_is_evaluated_only_on_request(runs, tmp_path):
    """Other last events change the page of test, but not the default page."""
    data, folder, source = runs
    walks = histories.read(data)
    items = walks.histories.items.copy()
    items[walks.histories.starts[1:] - 1] = 0
    other = dataclasses.replace(walks, histories=dataclasses.replace(walks.histories, items=items))
    bodies = {}
    for split in (None, "test"):
        for name, given in (("same", walks), ("other", other)):
            path = zoo.write_report(
                folder, given, out=tmp_path / "page.html", split=split, quiet=True
            )
            bodies[split, name] = rows_of(
                path.read_text(encoding="utf-8"), f"Results on {split or 'dev'}"
            )
    assert bodies[None, "same"] == bodies[None, "other"] == rows_of(source, "Results on dev")
    assert bodies["test", "same"] != bodies["test", "other"]


def test_identifier_statistics_equal_those_of_the_codes(runs):
    _, folder, source = runs
    codes = np.asarray(zoo.load(folder).state["docids"]["tokens"])[:, :2]
    for level, row in enumerate(rows_of(source, "Identifiers")[1:]):
        counts = np.unique(codes[:, level], return_counts=True)[1]
        share = counts / counts.sum()
        prefixes = len({tuple(code) for code in codes[:, : level + 1].tolist()})
        perplexity = np.exp(-(share * np.log(share)).sum())
        assert row[:6] == [
            str(level + 1),
            str(len(counts)),
            "4",
            f"{len(counts) / 4:.3f}",
            f"{perplexity:.1f}",
            str(prefixes),
        ]
    times = np.unique(codes, axis=0, return_counts=True)[1]
    assert (
        f"{times[times > 1].sum() / 40:.1%} share their codes with another, at most {times.max()} "
        "the same" in source
    )


def test_examples_are_drawn_with_a_fixed_seed_and_mark_their_hits(reader):
    walks = toy.interactions()
    fitted = zoo.fit("markov", walks, quiet=True)
    system = results.Measured("markov", fitted, zoo.evaluate(fitted, walks, split="dev"))
    read = reader(examples.examples(system, walks))
    chosen = sorted(np.random.default_rng(0).choice(200, 10, replace=False))
    assert [text for text in read.texts if text.startswith("User ")] == [
        f"User u{row}" for row in chosen
    ]
    _, qrels = walks.split("dev")
    hits = [
        row
        for row in chosen
        if set(dict(system.result.ranking.answers(row)[:10])) & set(qrels.grades[f"u{row}"])
    ]
    assert 0 < len(hits) == read.texts.count("✓ ")
    (history, _), first = walks.split("dev"), int(chosen[0])
    text = "".join(read.texts)
    for item in history.history(first)[-examples.NUM_EVENTS :]:
        assert walks.corpus.titles[item] in text


# dsi compiles training and search
@pytest.mark.parametrize("recipe", (pytest.param("dsi", marks=pytest.mark.slow), "bm25"))
def test_a_system_that_searches_has_a_page(reader, recipe, tmp_path):
    options = {**FEW, "beam": 100} if recipe == "dsi" else {}
    fitted = zoo.fit(recipe, "toy", size="tiny", options=options, out=tmp_path / "run", quiet=True)
    source = zoo.write_report(tmp_path / "run", quiet=True).read_text(encoding="utf-8")
    result = zoo.evaluate(fitted, "toy", split="dev")
    names = [row[0] for row in rows_of(source, "Results on dev")[1:]]
    assert names == [fitted.name, *(["BM25"] if recipe == "dsi" else []), "BM25 + train queries"]
    assert rows_of(source, "Results on dev")[1][1:] == [
        f"{result.measures[name]:.3f}" for name in measures.DEFAULT
    ]
    assert reader(source).tags.count("img") == (3 if recipe == "dsi" else 1)
    if recipe == "dsi":
        changed = rows_of(source, "Options that differ from the preset")
        assert ["most_steps", "30", "600"] in changed and ["beam", "100", "100"] not in changed


def test_warnings_of_the_fit_are_listed():
    fitted = zoo.fit("markov", "toy-walks", quiet=True)
    walks = toy.interactions()
    warned = dataclasses.replace(
        fitted, about={**fitted.about, "warnings": ["codes < 3 are collapsing"]}
    )
    assert "codes &lt; 3 are collapsing" in sections.data(
        warned, walks
    ) and "gave no warning" in sections.data(fitted, walks)


def test_bad_input_is_refused_in_one_line(runs, tmp_path, capsys):
    data, folder, _ = runs
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    assert main.main(["fit", "markov", "--data", str(moved), "--out", str(tmp_path / "run")]) == 0
    shutil.rmtree(moved)
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([tmp_path / "nothing"], "no such folder"),
        ([tmp_path / "empty"], "holds no fitted system"),
        ([tmp_path / "run"], "moved is not there any more; say where it is now with --data"),
        ([folder, "--data", "toy-walks"], "of this system, those of"),
        ([folder, "--data", "toy"], "learns from histories, toy has queries"),
        ([folder, "--split", "train"], "no split 'train' to report on; it has: dev, test"),
        ([folder, "--out", tmp_path / "no" / "page.html"], "to exist"),
    ):
        capsys.readouterr()
        assert main.main(["report", *map(str, arguments)]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1, said
    assert not list(tmp_path.glob("**/*.html")) and not (folder / run.PAGE).exists()


def test_categories_are_the_first_values_that_differ_between_documents():
    def of(*texts, titles=None):
        return categories.of(
            records.Corpus(tuple(map(str, range(len(texts)))), titles or ("",) * len(texts), texts)
        )

    beauty = of(
        "brand: X; categories: Beauty, Nails, Polish",
        "categories: Beauty, Hair",
        "categories: Beauty",
    )
    assert beauty == (["Nails", "Hair", "Beauty"], "categories, value 2")
    assert of("year: 1995; genres: Drama, Crime", "genres: Comedy", "year: 1990") == (
        ["Drama", "Comedy", "none"],
        "genres",
    )
    assert of("brand: A", "", "", titles=("os.path", "_os.x", "")) == (
        ["os", "os", "none"],
        "first word of the title",
    )


def test_training_in_stages_has_one_figure_over_all_stages():
    stages = [
        ("warm-up-1", {}),
        ("main-1", {"conflicts": 1.0, "diversity_1": 0.9, "usage_1": 1.0}),
        ("fit-1", {}),
        ("warm-up-2", {}),
    ]
    stages += [
        (
            "main-2",
            {
                "conflicts": 0.125,
                "diversity_1": 0.9,
                "diversity_2": 0.8125,
                "usage_1": 1.0,
                "usage_2": 0.75,
            },
        )
    ]
    rows = [{"phase": phase, "step": 10, "loss": 1.0, **found} for phase, found in stages]
    fitted = zoo.fit("markov", "toy-walks", quiet=True)
    took = [{"stage": phase, "steps": 10 * len(phase), "seconds": 0.5} for phase, _ in stages]
    about = {**fitted.about, "stages": took}
    fitted = dataclasses.replace(fitted, history=tuple(rows), about=about)
    source = sections.training(fitted)
    assert rows_of(source, "Training") == [
        ["stage", "steps", "seconds"],
        *([phase, str(10 * len(phase)), "0.5"] for phase, _ in stages),
    ]
    assert (
        "12.5% of documents share their codes in the end, and diversity is 0.81 at least" in source
    )
    assert source.count("<img") == 1 + len(stages)
    once = dataclasses.replace(fitted, history=tuple(rows[:4]))  # nothing to compare
    assert sections.training(once).count("<img") == 4


def test_usage_is_relative_to_the_codes_available_to_a_small_corpus():
    codes = np.arange(8)[:, None] % 2
    state = {
        "docids": {"tokens": np.concatenate([codes + 1, 3 + np.arange(8)[:, None] // 2], axis=1)}
    }
    learned = {"num_codes": np.asarray(2)}
    corpus = records.Corpus(tuple(map(str, range(8))), ("",) * 8, tuple("abcdefgh"))
    config = dataclasses.replace(recipes.get("genret").presets["tiny"], levels=1)
    sources = [
        sections.identifiers(types.SimpleNamespace(config=config, state=found), corpus)
        for found in (state | learned, state)
    ]
    assert [rows_of(source, "Identifiers")[1][1:4] for source in sources] == [
        ["2", "2", "1.000"],
        ["2", "8", "0.250"],
    ]
    assert ["Collapsed" in source for source in sources] == [False, True]
