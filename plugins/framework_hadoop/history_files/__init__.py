"""Histories that data engines leave of their jobs, in all the forms they come in, as events of one form."""
