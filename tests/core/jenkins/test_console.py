from __future__ import annotations

import pytest

from rollback_lib.core.jenkins import console

NOTE = "\x1b[8mha:////4" + "Ab+/" * 9 + "=\x1b[0m"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (f"{NOTE}one{NOTE} two", "one two"),
        ("\x1b[8mha:////never ended\nnext", "\nnext"),
        ("a\r\nb\r\r\nc", "a\nb\nc"),
        ("\x1b[1;31mred\x1b[K\x1b[?25l", "red"),
        ("\x1b]0;title\x07\x1b]52;c;Zm9v\x1b\\x", "x"),
        ("\x1b]0;title without an end\nnext", "\nnext"),
        ("\x1bPq#0\x1b\\\x1b(B\x1b=\x1bcx\x1b", "x"),
        ("\x9b31mred \x9d0;t\x9cx\x85", "red x"),
        ("\ttab\x00\x08\x7f\x0b ñ 😀", "\ttab ñ 😀"),
        ("plain [8m text [0m", "plain [8m text [0m"),
    ],
)
def test_of_a_console_only_what_can_be_read_is_shown(given: str, shown: str) -> None:
    assert console.plain(given) == shown


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_a_log_that_comes_in_parts_reads_as_one_that_comes_whole(size: int) -> None:
    text = f"{NOTE}[Pipeline] {{ (Año)\r\n{NOTE}😀 \x1b[31mred\x1b[0m\r\n\nlast {NOTE}line"
    data, rest, told = text.encode(), b"", []
    for at in range(0, len(data), size):
        part = data[at : at + size]
        shown, rest = console.whole_lines(rest, part, last=at + size >= len(data))
        told.append(shown)
    assert "".join(told) == console.plain(text) == "[Pipeline] { (Año)\n😀 red\n\nlast line"
    assert all(each.endswith("\n") for each in told[:-1] if each)


def test_a_line_that_never_ends_is_shown_as_it_comes() -> None:
    dots = b"." * (console.LONGEST + 1)
    assert console.whole_lines(b"", dots, last=False) == (dots.decode(), b"")


def test_letters_that_are_broken_for_good_are_no_error() -> None:
    assert console.whole_lines(b"", b"a\xc3\nb\xff", last=True) == ("a\ufffd\nb\ufffd", b"")


def test_what_was_skipped_is_read_with_and_without_a_time_before_it() -> None:
    text = '10:02:03  Stage "Ask \\"x" skipped due to when conditional\nStage "B" skipped due to earlier failure(s)\n'
    assert list(console.skipped(text)) == ['Ask \\"x', "B"]
