"""Report sections and terminal tables of serving studies."""
