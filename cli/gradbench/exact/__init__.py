"""A log-density and its gradient in as many digits as are asked for."""
