"""Amazon reviews of 2014, the 5-core of a category (McAuley et al. 2015).

Every review counts as an event, whatever its stars; products are those with a review. Time is in
days: events of one day keep the order of the file. Titles, brands and categories come from the
category's file of metadata, which is large (Beauty 100 MB) and written as Python literals; a
product
that it lacks has no text.
"""

from __future__ import annotations

import ast
import html
import pathlib
import re

import numpy as np

from zoo import records
from zoo.data import download, events, histories, items as item_files, jsonl

LICENCE = "research use; the owner states no terms of redistribution"
HOMEPAGE = "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html"
CITATION = (
    "McAuley et al. 2015, Image-based recommendations on styles and substitutes, SIGIR, "
    "doi:10.1145/2766462.2767755"
)
ADDRESS = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
CATEGORIES = {
    "amazon-beauty": "Beauty",
    "amazon-sports": "Sports_and_Outdoors",
    "amazon-toys": "Toys_and_Games",
}
SIZES = {
    "amazon-beauty": (22_363, 12_101, 198_502),
    "amazon-sports": (35_598, 18_357, 296_337),
    "amazon-toys": (19_412, 11_924, 167_597),
}
_ASIN = re.compile(r"'asin': '([^']+)'")


def load(name: str, address: str = ADDRESS) -> records.Interactions:
    """The interactions of a name of CATEGORIES, downloaded at the first call.

    The source publishes no checksums, so sizes are compared. Raises DataError if a file cannot be
    downloaded (naming where to place it by hand), has changed, or is broken.
    """
    category = CATEGORIES[name]
    reviews = download.archive(f"{address}/reviews_{category}_5.json.gz", None)
    products = download.archive(f"{address}/meta_{category}.json.gz", None)
    users, items, times = events.Ids(), events.Ids(), []
    for line, where, review in jsonl.objects_of(reviews):
        user, item, time = (review.get(key) for key in ("reviewerID", "asin", "unixReviewTime"))
        if not isinstance(user, str) or not isinstance(item, str) or not isinstance(time, int):
            raise records.DataError(
                f"{where}: expected reviewerID, asin and unixReviewTime, found "
                f"{jsonl.short(', '.join(review))}"
            )
        users.add(user, line)
        items.add(item, line)
        times.append(time)
    described = _described(products, items.where)
    pairs = [described.get(item, ("", "")) for item in items.where]
    corpus = records.Corpus(
        tuple(items.where), tuple(title for title, _ in pairs), tuple(text for _, text in pairs)
    )
    found = histories.build(
        name, corpus, events.Events(users, items, np.array(times, np.int64)), reviews
    )
    if address == ADDRESS:
        refuse_other_sizes(found, reviews)
    return found


def refuse_other_sizes(found: records.Interactions, path: pathlib.Path) -> None:
    """Raises DataError if users, products and reviews are not as many as papers count.

    This replaces the checksum, which is not published.
    """
    sizes = len(found.histories), len(found.corpus), len(found.histories.items)
    if sizes != SIZES[found.name]:
        expected, got = (
            f"{users:,} users, {products:,} products, {reviews:,} reviews"
            for users, products, reviews in (SIZES[found.name], sizes)
        )
        raise records.DataError(
            f"{path}: expected {expected}, got {got}; remove it and download it again"
        )


def _described(path: pathlib.Path, wanted) -> dict[str, tuple[str, str]]:
    """Product -> (title, text) of those wanted."""
    found = {}
    for line, text in jsonl.lines_of(path):
        named = _ASIN.search(text)
        if named is None or named[1] not in wanted:
            continue
        try:
            product = ast.literal_eval(text)
            title = product.get("title", "")
        except (ValueError, SyntaxError, AttributeError) as error:
            raise records.DataError(
                f"{path}:{line}: expected a Python dict, got {jsonl.short(text)} "
                f"({type(error).__name__})"
            ) from None
        found[named[1]] = html.unescape(title), html.unescape(item_files.describe(product))
    return found
