"""The shop has no pages, only the view for callbacks."""

from django.urls import include, path

urlpatterns = [path("goldcrest/", include("goldcrest.django.urls"))]
