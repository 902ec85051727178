"""What a job's config.xml on the server has otherwise than ours. Pure; Jenkins adds much of its own on saving."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

# Lists that are ours as a whole; within an entry, Jenkins writes more than we say.
_ITEM = re.compile(r".*/(parameterDefinitions|branches|userRemoteConfigs|extensions)/[^/]+")
_LARGEST = 1 << 20


def differences(ours: str, theirs: str) -> tuple[str, ...]:
    """One line for each thing that ours says and theirs does not; empty where theirs will do.

    What only theirs has is somebody's or Jenkins' own and is kept; but lists have no entries that are not ours.
    Raises ValueError where theirs is no XML that can be read.
    """
    wanted, there = dict(_leaves(_parsed(ours))), dict(_leaves(_parsed(theirs)))
    found = [
        f"{place}: {there.get(place, '')!r}, wanted {value!r}"
        for place, value in wanted.items()
        if there.get(place, "") != value
    ]
    items = {_item(place) for place in wanted}
    more = [place for place, value in there.items() if value and _item(place) not in items]
    return (*found, *(f"{place}: {there[place]!r}, wanted nothing" for place in more))


def _item(place: str) -> str:
    """The entry of one of the lists that a leaf belongs to; empty where it belongs to none."""
    found = _ITEM.match(place)
    return found[0] if found else ""


def _parsed(text: str) -> ElementTree.Element:
    if len(text) > _LARGEST or re.search(r"<!(DOCTYPE|ENTITY)", text):
        raise ValueError("it is not a job's configuration")
    try:
        return ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))  # Jenkins says 1.1, which expat cannot
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from None


def _leaves(element: ElementTree.Element, place: str = "") -> Iterator[tuple[str, str]]:
    """(path with positions among equals, text); attributes but ``class`` are Jenkins' own (plugin versions)."""
    here = f"{place}/{element.tag}" if place else element.tag
    if "class" in element.attrib:
        yield f"{here}@class", element.attrib["class"]
    children = list(element)
    if not children:
        yield here, (element.text or "").strip()
    numbers: dict[str, int] = {}
    for child in children:
        numbers[child.tag] = numbers.get(child.tag, 0) + 1
        many = sum(1 for each in children if each.tag == child.tag) > 1
        for path, text in _leaves(child):
            tail = path.removeprefix(child.tag)
            yield f"{here}/{child.tag}{f'[{numbers[child.tag]}]' if many else ''}{tail}", text
