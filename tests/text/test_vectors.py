import numpy as np
import pytest

from zoo.text import vectors

ROWS = [np.array(row) for row in ([0, 1, 1, 2], [1, 2, 3], [3, 4, 4, 4], [4, 5], [0, 5, 5], [2])]


def tfidf(rows, vocabulary):
    """Dense f64[N, V] TF-IDF rows of unit length, in plain loops."""
    counts = np.zeros((len(rows), vocabulary))
    for number, row in enumerate(rows):
        for token in row:
            counts[number, token] += 1
    weights = np.zeros_like(counts)
    for word in range(vocabulary):
        idf = 1 + np.log((1 + len(rows)) / (1 + (counts[:, word] > 0).sum()))
        for number in range(len(rows)):
            if counts[number, word]:
                weights[number, word] = (1 + np.log(counts[number, word])) * idf
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


@pytest.mark.parametrize("dim", [1, 3, 6])
def test_cosines_equal_the_exact_truncated_svd(dim):
    dense = tfidf(ROWS, 7)
    _, _, right = np.linalg.svd(dense)
    exact = dense @ right[:dim].T
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    got = vectors.tfidf_svd(ROWS, vocabulary=7, dim=dim, seed=0).documents
    np.testing.assert_allclose(got @ got.T, exact @ exact.T, atol=1e-5)  # float32


def test_full_rank_keeps_the_cosines_of_tfidf():
    dense = tfidf(ROWS, 7)
    got = vectors.tfidf_svd(ROWS, vocabulary=7, dim=6, seed=1).documents
    np.testing.assert_allclose(got @ got.T, dense @ dense.T, atol=1e-5)


def test_the_vocabulary_alone_embeds_the_documents_again():
    found = vectors.tfidf_svd(ROWS, vocabulary=7, dim=3, seed=0)
    np.testing.assert_array_equal(vectors.embed(ROWS, found.words), found.documents)
    one = vectors.embed([np.array([4])], found.words)[0]
    np.testing.assert_allclose(one, found.words[4] / np.linalg.norm(found.words[4]), rtol=1e-6)


def test_columns_past_the_rank_are_zero():
    found = vectors.tfidf_svd(ROWS, vocabulary=7, dim=10, seed=0)
    assert found.documents.shape == (6, 10) and found.words.shape == (7, 10)
    assert not found.documents[:, 6:].any() and not found.words[:, 6:].any()
    np.testing.assert_allclose(np.linalg.norm(found.documents, axis=1), 1, rtol=1e-6)


def test_an_empty_document_is_the_zero_vector():
    found = vectors.tfidf_svd([*ROWS, np.array([], int)], vocabulary=7, dim=3, seed=0)
    assert (
        np.isfinite(found.words).all()
        and not found.documents[-1].any()
        and found.documents[:-1].any(axis=1).all()
    )


def test_no_texts_give_no_vectors():
    assert vectors.embed([], np.ones((5, 3), np.float32)).shape == (0, 3)


def test_the_same_seed_gives_the_same_vectors():
    first, again = (vectors.tfidf_svd(ROWS, vocabulary=7, dim=3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.documents, again.documents)


def test_a_token_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"tokens from 0 to 4, got 0 to 5"):
        vectors.tfidf_svd(ROWS, vocabulary=5, dim=2, seed=0)
    with pytest.raises(ValueError, match="at least one document"):
        vectors.tfidf_svd([], vocabulary=5, dim=2, seed=0)


def test_neighbours_in_sequences_are_near_in_vectors():
    # 0 and 1 are neighbours, 2 and 3 too; 4 is absent
    items = np.array([0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 2, 3])
    starts = np.array([0, 4, 8, 10, 12])
    found = vectors.cooccurrence_svd(items, starts, num_items=5, window=1, dim=3, seed=0)
    # counts at distance 1: c01 = 3 + 1 = 4 each way (places 01 10 01 | 01), c23 likewise; C = 16,
    # c_i = 4: ln(4 x 16 / 16) = ln 4
    cosine = found @ found.T
    # f32
    np.testing.assert_allclose(cosine[:4, :4], np.kron(np.eye(2), np.ones((2, 2))), atol=1e-5)
    assert not found[4].any()
    # two sequences
    assert not vectors.cooccurrence_svd(
        np.array([0, 1]), np.array([0, 1, 2]), num_items=2, window=3, dim=2, seed=0
    ).any()
