"""The images of model instances, as Data Units."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Dict, Iterable, Iterator, List, Optional, Union
from urllib.parse import urljoin

from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction
from kombu.exceptions import OperationalError

from .. import conf
from ..celery import prewarm, purge

log = logging.getLogger(__name__)

#: Where a unit has its image URLs. A selected URL that is not an image is broken; it is not skipped like one found automatically.
SELECT = ["/images"]


def unit_of(instance: models.Model) -> Optional[Dict[str, Any]]:
    """The Data Unit of an instance: {"id": "shop.product:42", "images": [URL, ...]}; None if it has no image.

    The setting MODELS defines its images: those of its fields, or the result of a function.
    """
    urls = list(dict.fromkeys(urljoin(conf.get("BASE_URL"), url) for url in _urls(instance)))
    return {"id": f"{instance._meta.label_lower}:{instance.pk}", "images": urls} if urls else None


def _urls(instance: models.Model) -> Iterator[str]:
    images = images_of(type(instance))
    if isinstance(images, str):
        function = conf.function(images)
        yield from _texts(function(instance) if function else None)
        return
    for field in images:
        yield from _texts(getattr(instance, field))


def _texts(value: Any) -> Iterator[str]:
    """The URLs of a field: a FileField's file URL, a text field's text, each text in a JSONField's list."""
    if isinstance(value, models.fields.files.FieldFile):
        value = value.url if value else ""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, Iterable):
        for one in value:
            yield from _texts(one)


def images_of(model: type) -> Union[str, List[str]]:
    """The entry of a model in the setting MODELS."""
    label = model._meta.label_lower  # type: ignore[attr-defined]
    for name, images in conf.get("MODELS").items():
        if name.lower() == label:
            found: Union[str, List[str]] = images
            return found
    raise ImproperlyConfigured(f"GOLDCREST: MODELS does not name {model._meta.label}")  # type: ignore[attr-defined]


def saved(
    sender: type, instance: models.Model, raw: bool = False, using: str = "default", update_fields: Any = None, **_: Any
) -> None:
    """Receives post_save: sends the instance's unit to the task prewarm when the transaction is committed."""
    images = images_of(sender)
    if raw or update_fields is not None and not isinstance(images, str) and set(images).isdisjoint(update_fields):
        return
    unit = unit_of(instance)
    if unit:
        transaction.on_commit(partial(_send, unit), using=using)


def deleted(sender: type, instance: models.Model, using: str = "default", **_: Any) -> None:
    """Receives post_delete: sends the instance's images to the task purge when the transaction is committed."""
    unit = unit_of(instance) if conf.get("PURGE") else None
    if unit:
        transaction.on_commit(partial(_purge, unit), using=using)


def _send(unit: Dict[str, Any]) -> None:
    follow = bool(conf.get("VERDICTS")) and not conf.get("CALLBACK")
    try:
        prewarm.apply_async(([unit],), {"select": SELECT, "follow": follow}, ignore_result=True)
    except OperationalError:
        # The instance is saved, and a broker that is down must not make the save fail. goldcrest_backfill posts it later.
        log.exception("the images of %s are not prewarmed: the broker cannot be reached", unit["id"])


def _purge(unit: Dict[str, Any]) -> None:
    try:
        purge.apply_async((unit["images"],), ignore_result=True)
    except OperationalError:  # A broker that is down must not make the deletion fail either.
        log.exception("the images of %s are not purged: the broker cannot be reached", unit["id"])
