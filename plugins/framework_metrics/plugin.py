"""Hooks of the machine's collectors. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

import pluggy

hookimpl = pluggy.HookimplMarker("framework")
