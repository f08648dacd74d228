"""Frames of a video, and what their scores say together.

Reading happens in a process of its own, which imports no torch: container, survey, scenes, decoding, pixels and worker
are its modules; reader is the other end. sampling, faces and verdict know no video file at all.
"""
