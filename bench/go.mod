module github.com/goldcrest/goldcrest/bench

go 1.26.0

require (
	github.com/goldcrest/goldcrest v0.0.0
	golang.org/x/image v0.47.0
	golang.org/x/sync v0.24.0
)

require (
	github.com/elastic/go-seccomp-bpf v1.6.0 // indirect
	github.com/h2non/bimg v1.1.9 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/goldcrest/goldcrest => ../
