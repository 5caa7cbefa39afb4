"""Networks in flax.linen."""
