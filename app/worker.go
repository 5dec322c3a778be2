package app

import (
	"runtime/debug"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec"
)

// buildID is what a worker must name to be this server's own: the version and, where Go knows it, the revision.
func buildID(version string) string {
	id := version
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				id += "+" + s.Value
			}
		}
	}
	return id
}

// Work is the life of a worker process, which makes pictures by the named engine for the server that started it.
func Work(version, engine string) error {
	c, err := codec.New(engine)
	if err != nil {
		return err
	}
	c.Alone()
	return transform.Serve(c, buildID(version))
}

// Versions names the build, the sandbox that the kernel offers, and the libraries that make pictures, by name.
func Versions(version string) (build, sandbox string, libraries map[string]string, err error) {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return "", "", nil, err
	}
	return buildID(version), transform.KernelSandbox().String(), c.Versions(), nil
}
