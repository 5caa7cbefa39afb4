"""Typed records of documents, queries, judgements, histories and answers, used by every package."""

from zoo.records.documents import (
    Collection as Collection,
    Corpus as Corpus,
    DataError as DataError,
    Qrels as Qrels,
    Queries as Queries,
)
from zoo.records.full_disk import full_disk as full_disk
from zoo.records.histories import (
    Histories as Histories,
    Interactions as Interactions,
    Short as Short,
)
from zoo.records.printable import printable as printable
from zoo.records.ranking import Answer as Answer, Ranking as Ranking
