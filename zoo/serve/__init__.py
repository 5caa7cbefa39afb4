"""An HTTP server of fitted systems, and its page."""
