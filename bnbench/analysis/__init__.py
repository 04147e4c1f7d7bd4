"""Runs become arms, differences and intervals. No torch, and nothing is printed."""
