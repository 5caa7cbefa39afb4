"""Documents that come and go after a system was fitted."""
