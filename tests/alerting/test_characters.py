"""What a channel can carry, whatever it is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.alerting.characters import ASCII, GSM7, begin, one_line, septets, shorten, to_ascii, to_gsm7

any_text = st.text(st.characters(), max_size=300)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("", 0),
        ("Freshet> ", 9),
        ("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?", 61),
        ("¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà", 64),
        ("^{}\\[~]|€", 18),
    ],
)
def test_septets_are_counted_as_a_phone_counts_them(text: str, cost: int) -> None:
    assert to_gsm7(text) == text
    assert septets(text) == cost


def test_alphabet_has_all_of_the_standard_but_what_breaks_or_escapes_a_line() -> None:
    # 128 places of the basic table without line feed, carriage return and escape; the form feed of the other.
    assert len(GSM7) == 125 + 9


@given(any_text)
def test_any_text_becomes_characters_that_the_channel_has(text: str) -> None:
    assert set(to_gsm7(text)) <= GSM7
    assert set(to_ascii(text)) <= ASCII


@given(any_text)
def test_what_a_phone_can_show_stays_as_it_is(text: str) -> None:
    kept = "".join(each for each in text if each in GSM7)

    assert to_gsm7(kept) == kept


@given(any_text, st.integers(0, 400))
def test_one_line_is_one_harmless_line(text: str, most: int) -> None:
    line = one_line(text, most)

    assert len(line) <= most
    assert line == " ".join(line.split())
    assert line.isprintable()


@given(any_text, st.integers(0, 100))
def test_cut_texts_fit_by_either_measure(text: str, most: int) -> None:
    for measure in (len, septets):
        assert measure(shorten(text, most, measure)) <= most
        assert measure(begin(text, most, measure)) <= most


def test_text_of_a_megabyte_costs_no_time() -> None:
    assert one_line("a" * 2_000_000 + "z", 20) == "a" * 9 + "..." + "a" * 7 + "z"


def test_both_ends_of_a_long_key_stay() -> None:
    assert (
        shorten("arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc", 30) == "arn:aws:ec2:eu...stance/i-0abc"
    )
