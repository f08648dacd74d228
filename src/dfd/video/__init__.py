"""Frames of a video, and what their scores say together."""
