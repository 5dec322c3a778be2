"""The settings of the Celery tasks and of the Django app: GOLDCREST in Django's settings, else the environment.

    GOLDCREST = {"URL": "http://goldcrest.internal:8081", "TOKEN": TOKEN, "VARIANTS": ["lite"]}     # settings.py
    GOLDCREST_URL, GOLDCREST_TOKEN, GOLDCREST_VARIANTS=lite,std                                     # without Django
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Callable, Dict, Optional

from .api import Client

#: Every setting with its default.
DEFAULTS: Dict[str, Any] = {
    "URL": "",  # of the private listener
    "TOKEN": "",  # with the scope prewarm
    "VARIANTS": [],  # to make; none = the server's prewarm.presets
    "CALLBACK": "",  # URL of the webhook view, as the server reaches it; "" = jobs are polled
    "SECRETS": [],  # that callbacks may be signed with
    "VERDICTS": "",  # dotted path of a function that takes (job, verdicts)
    "EVENTS": "",  # dotted path of a function that takes a callback's event
    "BASE_URL": "",  # of the site, for image URLs that begin with a slash
    "MODELS": {},  # "app.Model": names of fields, or the dotted path of a function that gives an instance's image URLs
    "PURGE": False,  # whether the images of an instance of MODELS are purged when it is deleted; TOKEN needs the scope purge
}


def get(name: str) -> Any:
    """The value of a setting."""
    default = DEFAULTS[name]
    settings = _django_settings()
    if settings is not None:
        return settings.get(name, default)
    text = os.environ.get("GOLDCREST_" + name)
    if text is None or isinstance(default, (bool, dict)):  # Only Django has these.
        return default
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(default, list) else text


def _django_settings() -> Optional[Dict[str, Any]]:
    """GOLDCREST of Django's settings; None in a project without Django."""
    if "django" not in sys.modules:
        return None
    from django.conf import settings

    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return None
    return getattr(settings, "GOLDCREST", None)


def client(attempts: int = 8) -> Client:
    """A client for the configured server."""
    if not get("URL") or not get("TOKEN"):
        raise ValueError("set URL and TOKEN in GOLDCREST of Django's settings, or GOLDCREST_URL and GOLDCREST_TOKEN")
    return Client(get("URL"), get("TOKEN"), attempts=attempts)


def function(path: str) -> Optional[Callable[..., Any]]:
    """The function at a dotted path such as "shop.images.take"; None for "". Raises ValueError if there is no such function."""
    if not path:
        return None
    module, _, name = path.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(f"{path} is not the dotted path of a function: {error}") from error
    return found
