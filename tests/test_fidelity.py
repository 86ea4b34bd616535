"""The page about the laptop's fidelity says what the tests and the laptop declare."""

from docs import fidelity


def test_page_is_as_the_tests_and_the_laptop_declare_it() -> None:
    assert fidelity.page() == fidelity.PAGE.read_text(), "docs/fidelity.md is stale. Write it anew: make docs"


def test_each_source_is_an_address_or_says_that_there_is_none() -> None:
    sources = {row.source for row in fidelity.rows()}

    assert [s for s in sources if not s.startswith("https://") and s != fidelity.NO_SOURCE] == []


def test_what_is_ignored_says_why() -> None:
    reasons = {(where, name): why for where, name, why in fidelity.ignored()}

    assert reasons
    assert all(reasons.values())
