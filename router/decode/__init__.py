"""Uploaded bytes to a study. `decoder.Decoder` is the way in; everything else here runs in its child process.

This file imports nothing, so that `preload` can set the environment before numpy is loaded.
"""
