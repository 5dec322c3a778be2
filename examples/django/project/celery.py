"""The project's Celery app; its broker is CELERY_BROKER_URL of the environment."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
app = Celery("project", include=["goldcrest.celery"])
app.config_from_object("django.conf:settings", namespace="CELERY")
