"""Capacity and cost simulation: a day, a spike, and a month's bill, from measured costs of one notification."""
