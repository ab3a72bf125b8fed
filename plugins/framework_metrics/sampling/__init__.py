"""How sensors are read while a run goes on: a process of its own, on a schedule that does not drift."""
