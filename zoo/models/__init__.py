"""What systems share that train and answer."""
