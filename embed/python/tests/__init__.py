"""Tests of the client and the drop-in. Run them with `python3 -m unittest` in the folder above."""
