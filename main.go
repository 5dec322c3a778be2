// Goldcrest is an on-the-fly image proxy with cache: it serves the lightest picture that still does the job.
package main

import "github.com/goldcrest/goldcrest/cli"

// version is stamped by the build: -ldflags "-X main.version=...".
var version = "dev" //nolint:gochecknoglobals // the linker's -X needs a variable

func main() { cli.Main(version) }
