"""Measuring: quality on test sets, speed and memory on this machine, and the tables and plots made of them."""
