"""Compression of responses."""

from __future__ import annotations

from pydantic import Field

from flowproxy.features.feature import MOST_VALUES, Feature, Parameters
from flowproxy.text.values import Words


class OfService(Parameters):
    """The algorithms, and the types of content."""

    compression_algo: Words | None = Field(
        None, description="Compression of responses, such as `gzip`.", examples=["gzip", "deflate"]
    )
    compression_type: Words | None = Field(
        None,
        description="The media types that are compressed.",
        examples=["text/html application/json", "text/html"],
    )


FEATURE = Feature(
    name="compression",
    service=OfService,
    modes=("http",),
    most={"compressionAlgo": 10, "compressionType": MOST_VALUES},
)
