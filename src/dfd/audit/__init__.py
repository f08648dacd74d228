"""What a data set gives away without any trace of forgery."""
