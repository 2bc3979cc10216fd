"""The stage process: an I/O loop around an engine. It must not know what a program computes."""
