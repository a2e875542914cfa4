"""Programs that feed the product arbitrary bytes, led by coverage; `make fuzz` runs them."""
