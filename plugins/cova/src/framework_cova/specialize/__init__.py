"""The study itself: what is labelled, trained, scored, watched and shared."""
