"""What Goldcrest needs is at the end; the rest is the least that a project has."""

import os

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1", "shop.example"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["shop", "goldcrest.django"]
ROOT_URLCONF = "project.urls"
USE_TZ = True

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_TASK_IGNORE_RESULT = True

GOLDCREST = {
    "URL": os.environ["GOLDCREST_URL"],
    "TOKEN": os.environ["GOLDCREST_TOKEN"],
    "VARIANTS": ["lite"],
    "MODELS": {"shop.Product": ["photo", "gallery"]},
    "PURGE": True,  # the token needs the scope purge
    "CALLBACK": os.environ.get("GOLDCREST_CALLBACK", ""),  # such as https://shop.example/goldcrest/
    "SECRETS": os.environ.get("GOLDCREST_WEBHOOK_SECRETS", "").split(),
    "EVENTS": "shop.images.told",
    "VERDICTS": "shop.images.take",
}
