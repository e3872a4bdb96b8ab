"""Spare backends: HAProxy cannot create a backend at run time, so some without servers wait for new services.

Planning chooses a spare to stand in for a service's backend. Everything else uses the service's own name: answers of
HAProxy are translated in `haproxy.names`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from flowproxy.rendering.sections import Section

_BEGINNING = "spare:"  # no name of a service holds a colon
_FEWEST, _SHAPES = 32, 3


def is_spare(backend: str) -> bool:
    """Return whether this is the name of a spare backend."""
    return backend.startswith(_BEGINNING)


def spares_for(sections: Mapping[str, Section], plain: str | None) -> Mapping[str, Section]:
    """Return the spares for these backends: some of the plain shape, and some of the most common other shapes."""
    shapes = Counter(section.shape for section in sections.values() if section.shape is not None)
    if plain is not None:
        shapes[plain] = len(sections) + 1
    ready = max(_FEWEST, len(sections) // 50)
    spares: dict[str, Section] = {}
    for shape, _ in shapes.most_common(_SHAPES):
        for _ in range(ready):
            name = f"{_BEGINNING}{len(spares) + 1}"
            spares[name] = Section(f"backend {name}\n{shape}".rstrip(), "", shape=shape)
    return spares
