"""A study so small that the tests of the core can see every part of it: numbers, and how fast they are added."""
