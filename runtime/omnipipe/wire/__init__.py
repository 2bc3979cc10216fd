"""Messages between processes: what they are, how they travel, who is alive.

Start at `port` (what a Wire promises) and `messages` (what is said). `socket_wire` keeps the promise with sockets,
`fake` in memory, `aio` brings either onto an asyncio loop. Below them: `hub` (connections, heartbeats, judgement),
`dialler` and `greeting` (how a connection begins, on either side), `lines` (what they ask of sockets), `ipc` and `tcp`
(Unix sockets, libzmq), `codec`, `contents` and `tensors` (bytes), `shm` (memory lent between processes of one machine),
`keys`. The package knows nothing of requests beyond the messages' fields, and imports nothing above `spec`.
"""
