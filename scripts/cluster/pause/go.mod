module omnipipe.dev/scripts/cluster/pause

go 1.24.0
