module atelier.dev/cluster/tools/pause

go 1.26.0
