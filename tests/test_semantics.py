"""The page about what is promised says what the tests say of themselves, and no clause is without one."""

from docs import semantics


def test_page_is_as_the_tests_declare_it() -> None:
    assert semantics.page() == semantics.PAGE.read_text(), (
        "docs/semantics.md is stale. Write it anew: make docs"
    )


def test_every_clause_has_a_test_and_every_mark_a_clause() -> None:
    promised = semantics.promises()

    clauses = {(number, name) for number, promise in promised.items() for name in promise.clauses}

    assert clauses == {(proof.line, proof.clause) for proof in semantics.proofs()}
    assert list(promised) == list(range(1, 12))


def test_no_test_says_the_same_twice() -> None:
    found = list(semantics.proofs())

    assert len(set(found)) == len(found)
