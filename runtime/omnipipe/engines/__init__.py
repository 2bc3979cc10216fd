"""When a stage computes. An engine turns work into results by calling a program; it knows nothing of sockets,
addresses or other stages."""
