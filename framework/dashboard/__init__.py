"""The store as web pages on this machine: `framework dashboard`; needs the extra `dashboard`."""
