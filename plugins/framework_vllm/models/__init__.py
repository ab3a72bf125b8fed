"""Models and adapters that an engine serves: found, or made for tests."""
