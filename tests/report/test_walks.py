"""The walk that the page shows is the search itself."""

import json

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.data import toy
from zoo.report import walk_view, walks

QUERY, BEAM = "bab cec", 3


@pytest.fixture(scope="module")
def fitted():
    options = {"steps": 3, "branching": 4, "leaf_size": 3, "beam": BEAM}
    return zoo.fit("dsi", toy.build(40), size="tiny", options=options, quiet=True)


@pytest.fixture(scope="module")
def walker(fitted):
    return walks.Walker(zoo.open(fitted))


@pytest.mark.parametrize("decoder", ("trie", "counted", "lookahead", "max-marginal"))
def test_answers_are_those_of_the_decoder(fitted, walker, decoder):
    found = walker.walk(QUERY, decoder=decoder, beam=BEAM, k=BEAM)
    other = zoo.with_options(fitted, {"decoding": decoder})
    expected = zoo.retrieve(other, QUERY, k=BEAM)[0]
    assert [each["id"] for each in found["answers"]] == [each.document for each in expected]
    np.testing.assert_allclose(  # four digits are kept
        [each["probability"] for each in found["answers"]],
        np.exp([each.score for each in expected]),
        rtol=1e-3,
    )


def test_levels_are_the_prefixes_of_the_beam(fitted, walker):
    found = walker.walk(QUERY, beam=BEAM)
    path = zoo.path(fitted, QUERY, width=BEAM)
    for level, expected in zip(found["levels"], path.levels, strict=True):
        kept = [node for node in level["nodes"] if node["kept"]]
        alive = np.isfinite(expected.score)
        assert [node["token"] for node in kept] == expected.token[alive, -1].tolist()
        assert all(node["margin"] < 0 for node in level["nodes"] if not node["kept"])
        assert sum(node["documents"] for node in level["nodes"]) <= 40


def test_the_exact_top_is_that_of_a_beam_as_wide_as_the_trie(fitted, walker):
    found = walker.walk(QUERY, beam=1, k=5)
    whole = zoo.retrieve(zoo.with_options(fitted, {"beam": 40}), QUERY, k=5)[0]
    assert [each["id"] for each in found["exact"]] == [each.document for each in whole]
    best_first = walker.walk(QUERY, decoder="best-first", k=5)
    assert [each["id"] for each in best_first["answers"]] == [each.document for each in whole]


def test_a_wanted_document_dies_where_the_beam_drops_its_branch(walker):
    exact = walker.walk(QUERY, beam=1, k=40)["exact"]
    lost = 0
    for rank, each in enumerate(exact[:12], start=1):
        found = walker.walk(QUERY, beam=BEAM, wanted=each["id"])
        wanted, died = found["wanted"], found["wanted"]["died"]
        assert wanted["exact_rank"] == rank
        assert wanted["probability"] == pytest.approx(each["probability"], rel=2e-3)
        prefixes = [
            {
                tuple(node["token"] for node in _way(found["levels"], depth, place))
                for place, node in enumerate(level["nodes"])
                if node["kept"]
            }
            for depth, level in enumerate(found["levels"])
        ]
        alive = [tuple(wanted["tokens"][: d + 1]) in kept for d, kept in enumerate(prefixes)]
        assert (died["step"] - 1 if died else len(alive)) == (alive + [False]).index(False)
        if died:
            assert died["rank"] > BEAM and died["nats"] > 0
            lost += 1
    assert lost


def _way(levels, depth, place):
    nodes = []
    for level in levels[depth::-1]:
        nodes.append(level["nodes"][place])
        place = nodes[-1]["parent"]
    return nodes[::-1]


def test_a_high_temperature_flattens_and_the_potential_helps_a_lexical_match(walker):
    def odds(temperature):
        best, second = walker.walk(QUERY, temperature=temperature)["levels"][0]["nodes"][:2]
        return np.log(best["step"] / second["step"])

    # log odds are differences of logits, which a temperature divides; four digits are kept
    assert 2 * odds(2.0) == pytest.approx(odds(1.0), abs=5e-3) and odds(1.0) > 0
    document = toy.build(40).corpus
    query = document.titles[7]
    rank = lambda decoder: _rank(
        walker.walk(query, decoder=decoder, beam=64, k=40), document.ids[7]
    )
    assert rank("potential") <= rank("trie")


def _rank(found, name):
    return [each["id"] for each in found["answers"]].index(name)


def test_wrong_questions_are_refused(walker):
    with pytest.raises(records.DataError, match="expected a decoder of trie, .* got 'free'"):
        walker.walk(QUERY, decoder="free")
    with pytest.raises(records.DataError, match="no document 'nobody'"):
        walker.walk(QUERY, wanted="nobody")
    with pytest.raises(records.DataError, match="there is no tree to show"):
        walks.Walker(zoo.open(zoo.fit("bm25", toy.build(20), quiet=True)))


def test_a_view_embeds_its_data_and_no_markup_of_titles(walker):
    data = walker.walk(QUERY) | {"query": "</script><b>"}
    page = walk_view.View(data)._repr_html_()
    assert (
        page.startswith("<iframe srcdoc=")
        and "<b>" not in page
        and "&lt;/script&gt;&lt;b" not in page
    )
    assert json.dumps(data["answers"][0]["id"]).strip('"') in page
