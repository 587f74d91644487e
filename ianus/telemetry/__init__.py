"""What an operator sees, and the clock that rooms share."""
