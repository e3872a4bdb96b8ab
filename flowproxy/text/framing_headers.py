"""Headers that HAProxy frames messages by. A service that wrote them could split the messages of a connection."""

from __future__ import annotations

from flowproxy.text.patterns.search import is_found

FRAMING = (
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
_LOWER = tuple(name.lower() for name in FRAMING)


def require_no_framing(name: str, method: str = "str") -> None:
    """Check the name of a header that is written or deleted.

    Args:
        name: the name or pattern.
        method: how HAProxy compares it with the names in a message: str, beg, end, sub or reg.

    Raises:
        ValueError: it may match a header that HAProxy frames messages by.
    """
    for framing in _LOWER:
        if _may_match(framing, name, method):
            raise ValueError(f"HAProxy frames messages by {framing}, so it cannot be changed here; use another header")


def _may_match(header: str, name: str, method: str) -> bool:
    text = name.lower()
    if method == "reg":
        return is_found(name, header, ignoring_case=True) is not False
    comparisons = {
        "str": header == text,
        "beg": header.startswith(text),
        "end": header.endswith(text),
        "sub": text in header,
    }
    return comparisons[method]
