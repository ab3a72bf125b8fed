"""Files that others wrote: opened by what they hold, not by what they are called."""
