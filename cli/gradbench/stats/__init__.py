"""Arrays in, numbers out: nothing here knows who made them."""
