"""T2: the costs of the steps add up to the cost of the sequence."""

import numpy as np

from theory import claims, decoded, enumeration, worlds
from theory.claims import jensen_identity


def _steps(params, *, reverse=False):
    tree = worlds.full(params["branching"], params["depth"], claims.world(params))
    return enumeration.kl_of_corpora(tree, jensen_identity.corpora(params), reverse=reverse)


def predict(params):
    """Mean over corpora of the sum over steps of sum_v P(v) KL_v."""
    return _steps(params).sum(1).mean()


def measure(key, params, n):
    """Mean KL over whole identifiers: the law of beam search against r given the corpus."""
    relevance, costs = claims.world(params), []
    for kept in jensen_identity.corpora(params):
        law = decoded.law(relevance, params["branching"], params["depth"], kept)
        wanted = relevance[kept] / relevance[kept].sum()
        costs.append(np.sum(law * np.log(law / wanted)))
    return claims.exactly(np.mean(costs))


CLAIM = claims.Claim(
    name="chain_rule",
    title="The costs of the steps add up to the cost of the sequence",
    statement="KL[P_seq||Q_seq] = sum over steps t and nodes v at depth t of P(v) KL_v.",
    source="T2, the chain rule of KL; checked here on the laws that beam search returns",
    assumptions=("as for the Jensen identity",),
    cases=jensen_identity.CLAIM.cases,
    predict=predict,
    measure=measure,
    control=claims.off(predict, 0.02),
    formula=r"KL[P||Q] = \sum_t \sum_v P(v) KL_v",
    meaning="Step costs add up, so the cheapest place to repair is the step that costs most.",
    tolerance=2e-5,
)
