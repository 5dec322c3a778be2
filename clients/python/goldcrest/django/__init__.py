"""Goldcrest for Django 3.2 or later, with Celery: add "goldcrest.django" to INSTALLED_APPS.

    GOLDCREST = {                                                   # goldcrest.conf has all settings
        "URL": "http://goldcrest.internal:8081",
        "TOKEN": TOKEN,
        "VARIANTS": ["lite"],
        "MODELS": {"shop.Product": ["photo", "gallery"]},           # prewarmed when they are saved
        "PURGE": True,                                              # and purged when they are deleted
        "CALLBACK": "https://shop.example/goldcrest/",              # path("goldcrest/", include("goldcrest.django.urls"))
        "SECRETS": [WEBHOOK_SECRET],
        "VERDICTS": "shop.images.take",                             # takes (job, verdicts)
    }

    manage.py goldcrest_backfill shop.Product --wait                # prewarms existing instances
"""
