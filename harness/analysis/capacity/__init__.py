"""Capacity plans: how many machines a rate of requests needs, what latency it gets, what it costs."""
