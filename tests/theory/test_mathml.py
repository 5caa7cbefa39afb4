"""Formulas become well-formed MathML, and unknown commands are refused."""

import xml.etree.ElementTree

import pytest

from theory import claims, mathml, report


def test_scripts_fractions_and_limits_by_hand():
    found = mathml.convert(r"\frac{1-p}{2p} x_i^2 + \sum_{t=1}^{m} \rho_t")
    assert "<mfrac><mrow><mn>1</mn><mo>−</mo><mi>p</mi></mrow>" in found
    assert "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>" in found
    assert "<munderover><mo>∑</mo>" in found and "<msub><mi>ρ</mi><mi>t</mi></msub>" in found


@pytest.mark.parametrize("name", claims.names())
def test_every_formula_is_well_formed(name):
    formula = claims.get(name).formula
    if formula:
        xml.etree.ElementTree.fromstring(mathml.convert(formula))


def test_definitions_are_well_formed():
    for symbol, _ in report.DEFINITIONS:
        xml.etree.ElementTree.fromstring(mathml.convert(symbol))


@pytest.mark.parametrize("formula", (r"\nonsense", "x_", "{x", "x}", r"\frac{1}"))
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(ValueError, match="mathml:"):
        mathml.convert(formula)
