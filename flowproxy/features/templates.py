"""Custom templates, which replace the lines and sections that Flowproxy writes."""

from __future__ import annotations

from pydantic import Field

from flowproxy.features.feature import Change, Feature, Parameters, Raw
from flowproxy.text.values import FilePath, Line


class OfDestination(Parameters):
    """A value that templates read."""

    user_def: Line | None = Field(None, description="Anything, for custom templates.", examples=["blue", "green"])


class OfService(Parameters):
    """The files of the templates."""

    template_fe_path: FilePath | None = Field(
        None,
        description="A Jinja2 template, a file of the proxy's container, whose lines replace the service's routes.",
        examples=["/templates/shop-frontend.cfg.j2"],
    )
    template_be_path: FilePath | None = Field(
        None,
        description="A Jinja2 template whose sections replace the service's backends.",
        examples=["/templates/shop-backend.cfg.j2"],
    )


FEATURE = Feature(
    name="templates",
    service=OfService,
    destination=OfDestination,
    changes={"userDef": Change.NOTHING},
    raw={"templateFePath": Raw(None), "templateBePath": Raw(None)},
)
