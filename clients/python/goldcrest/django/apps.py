"""The Django app."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_delete, post_save

from .. import conf


class GoldcrestConfig(AppConfig):
    """Prewarms instances of the models in MODELS when they are saved, and purges them when they are deleted."""

    name = "goldcrest.django"
    label = "goldcrest"
    verbose_name = "Goldcrest"

    def ready(self) -> None:
        from . import images
        from .checks import check

        checks.register(check)
        for label in conf.get("MODELS"):
            post_save.connect(images.saved, sender=label, dispatch_uid=f"goldcrest:{label}")
            post_delete.connect(images.deleted, sender=label, dispatch_uid=f"goldcrest:{label}")
