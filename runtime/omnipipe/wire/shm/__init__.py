"""Large tensors between processes of one machine, through memory that the sender lends.

A process owns one segment: an anonymous memory file (no name in any file system, gone with its last mapping) that peers
on the same machine map through /proc. A message carries only a `loan.Descriptor`; the receiver's Tensor views the
sender's memory and gives it back by itself when it is collected; a stage in the middle passes the descriptor on.

Who holds which block is written in the segment's ledger, not said in messages: a word for each holder, its pid.
Giving back is one store, from any thread, also when the connection is long gone; and a holder that died is found by its
pid. Where Linux's memfd or pidfd do not exist there is no shared memory: tensors travel in the messages.

Hazards, and what guards them:
- A peer that is cut off (silent, stalled) may still be reading: its blocks come back when it gives them back or its
  process is gone, never by a timer. Only a loan that it has not taken yet is withdrawn, well after the connection
  ended; one that reads the message later still finds the withdrawal and refuses the message.
- A borrower could shrink the file under its owner: the file is sealed against it. Borrowed data is mapped read-only.
- A block that comes back is used again: each use has a generation, which a descriptor must name.
- A peer of the same user that writes to the ledger on purpose can corrupt tensors; it could also use ptrace. Whoever
  must not do that does not get into the 0700 folder or hold the CURVE key.
"""
