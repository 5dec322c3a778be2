"""System checks of the setting GOLDCREST."""

from __future__ import annotations

import difflib
from typing import Any, Iterator, List

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import FieldDoesNotExist

from .. import conf


def check(**_: Any) -> List[checks.Error]:
    """Errors in GOLDCREST, for manage.py check and every start."""
    return [checks.Error(text, id="goldcrest.E001") for text in faults()]


def faults() -> Iterator[str]:
    """Describes invalid settings, without secrets."""
    given = getattr(settings, "GOLDCREST", None)
    if not isinstance(given, dict):
        yield "GOLDCREST is not set: it is a dict with URL and TOKEN at least"
        return
    for name in sorted(set(given) - set(conf.DEFAULTS)):
        nearest = difflib.get_close_matches(name, conf.DEFAULTS, n=1)
        yield f"GOLDCREST has no setting {name}" + (f": did you mean {nearest[0]}?" if nearest else "")
    for name, default in conf.DEFAULTS.items():
        if not isinstance(conf.get(name), (list, tuple) if isinstance(default, list) else type(default)):
            yield f"GOLDCREST: {name} is not a {type(default).__name__}"
            return
    try:
        conf.client()
    except ValueError as error:
        yield f"GOLDCREST: {error}"
    if conf.get("CALLBACK") and not conf.get("SECRETS"):
        yield "GOLDCREST: CALLBACK is set without SECRETS, so every callback would be refused"
    for name in ("VERDICTS", "EVENTS"):
        yield from _function(name, conf.get(name))
    for label, images in conf.get("MODELS").items():
        yield from _model(label, images)


def _function(name: str, path: str) -> Iterator[str]:
    try:
        conf.function(path)
    except ValueError as error:
        yield f"GOLDCREST: {name}: {error}"


def _model(label: str, images: Any) -> Iterator[str]:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        yield f"GOLDCREST: MODELS names {label}, which is no model"
        return
    if isinstance(images, str):
        yield from _function(f"MODELS[{label!r}]", images)
        return
    for field in images:
        try:
            model._meta.get_field(field)
        except FieldDoesNotExist:
            yield f"GOLDCREST: MODELS names {field}, which is no field of {label}"
