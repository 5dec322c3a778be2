"""A Django project that has the images of its products prewarmed."""

from .celery import app

__all__ = ["app"]
