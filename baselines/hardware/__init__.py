"""Peak rates of CPU cores and GPU boards, measured."""
