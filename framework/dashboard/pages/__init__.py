"""The pages of the dashboard, one module each: a function of the desk and of what the address asks for."""
