"""What a job's config.xml on the server has otherwise than ours, by meaning. Pure.

Jenkins says the same job in other words once a build has saved it: a list without the class that it came with, and much
that is its own. So both are read as facts: a place, and what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Final
from xml.etree import ElementTree

# Lists that are ours as a whole; within an entry, Jenkins writes more than we say.
_ITEM: Final = re.compile(r"parameters/[^/]+|.*/(branches|userRemoteConfigs|extensions)/[^/]+")
_PARAMETER: Final = re.compile(r"parameters/([^/]+)")
_NOTHING: Final = repr("")
# What the job had once and must not have: rollbacks of other environments waited for each other's approvals.
_GONE: Final = "DisableConcurrentBuildsJobProperty"
_LARGEST: Final = 1 << 20
Facts = Mapping[str, str]


def differences(ours: str, theirs: str) -> tuple[str, ...]:
    """One line for each thing that ours says and theirs does not; empty where theirs will do.

    What only theirs has is somebody's or Jenkins' own and is kept; but lists have no entries that are not ours.
    Parameters go by their names. Raises ValueError where theirs is no XML that can be read.
    """
    return tuple(_differences(_facts(ours), _facts(theirs)))


def content(xml: str) -> tuple[str, ...]:
    """What a configuration says, a line for each parameter and for each other fact."""
    facts = _facts(xml)
    lines: list[str] = []
    for name, places in groupby(facts, _parameter):
        if name:
            said = (f"{place.removeprefix(f'parameters/{name}/')} {facts[place]}" for place in places)
            lines.append(f"parameter {name!r}: {', '.join(said)}")
        else:
            lines += (f"{place}: {facts[place]}" for place in places)
    return tuple(lines)


def _differences(wanted: Facts, there: Facts) -> Iterator[str]:
    mine, theirs = _parameters(wanted), _parameters(there)
    yield from (f"parameter: nothing, wanted {name!r}" for name in mine if name not in theirs)
    yield from (f"parameter: {name!r}, wanted nothing" for name in theirs if name not in mine)
    if mine != theirs and sorted(mine) == sorted(theirs):
        yield f"parameters: {', '.join(theirs)}, wanted {', '.join(mine)}"
    for place, value in wanted.items():
        if there.get(place, _NOTHING) != value and _parameter(place) in ("", *theirs):
            yield f"{place}: {there.get(place, _NOTHING)}, wanted {value}"
    items = {_item(place) for place in wanted}
    for place, value in there.items():
        if _GONE in place or (value != _NOTHING and _item(place) not in items and not _parameter(place)):
            yield f"{place}: {value}, wanted nothing"


def _parameters(facts: Facts) -> list[str]:
    """The names of the parameters, as the form has them from top to bottom."""
    return list(dict.fromkeys(name for place in facts if (name := _parameter(place))))


def _parameter(place: str) -> str:
    """The parameter that a fact is of; empty where it is of something else."""
    found = _PARAMETER.match(place)
    return found[1] if found else ""


def _item(place: str) -> str:
    """The entry of one of the lists that a fact belongs to; empty where it belongs to none."""
    found = _ITEM.match(place)
    return found[0] if found else ""


def _facts(text: str) -> Facts:
    return dict(_leaves(_parsed(text)))


def _parsed(text: str) -> ElementTree.Element:
    if len(text) > _LARGEST or re.search(r"<!(DOCTYPE|ENTITY)", text):
        raise ValueError("it is not a job's configuration")
    try:
        return ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))  # Jenkins says 1.1, which expat cannot
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from None


def _leaves(element: ElementTree.Element, place: str = "") -> Iterator[tuple[str, str]]:
    """(path with positions among equals, what it says); attributes but ``class`` are Jenkins' own (plugin versions)."""
    here = place or element.tag
    if element.tag == "parameterDefinitions":
        names = [_one_line(child.findtext("name") or "") for child in element]
        for number, (name, child) in enumerate(zip(names, element, strict=True)):
            again = names[:number].count(name)
            yield from _definition(child, f"parameters/{name}{f'[{again + 1}]' if again else ''}")
        return
    if "class" in element.attrib:
        yield f"{here}@class", repr(element.attrib["class"])
    children = list(element)
    if not children:
        yield here, repr((element.text or "").strip())
    numbers: dict[str, int] = {}
    for child in children:
        numbers[child.tag] = numbers.get(child.tag, 0) + 1
        many = sum(1 for each in children if each.tag == child.tag) > 1
        yield from _leaves(child, f"{here}/{child.tag}{f'[{numbers[child.tag]}]' if many else ''}")


def _definition(element: ElementTree.Element, place: str) -> Iterator[tuple[str, str]]:
    """One parameter. Its choices are a list, whatever Java calls it; as it saves them they have no class."""
    yield f"{place}/type", element.tag.removeprefix("hudson.model.")
    for child in element:
        if child.tag == "choices":
            yield f"{place}/choices", repr([(each.text or "").strip() for each in child.iter("string")])
        elif child.tag != "name":
            yield from _leaves(child, f"{place}/{child.tag}")


def _one_line(text: str) -> str:
    """A name that stands in a place: on one line, and without what would end it there."""
    return " ".join(text.split()).replace("/", "|")
