"""A study so small that a test of another plugin can see every part of it: numbers, and how fast they are added."""
