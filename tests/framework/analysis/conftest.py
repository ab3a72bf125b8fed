"""Property tests have no deadline: how fast a loaded machine is says nothing about the code."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
