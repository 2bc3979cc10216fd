"""The Coordinator: picks the walk and the replicas, submits, collects, retries, and ends each request once. It must not
know HTTP."""
