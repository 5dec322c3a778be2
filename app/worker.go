package app

import (
	"context"
	"runtime/debug"
	"strings"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec"
)

// buildID must be equal in server and worker: the version and, if Go knows it, the revision.
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

// Work runs a worker process for the server that started it. inputs are the enabled formats, separated by commas.
func Work(version, engine, inputs string) error {
	c, err := codec.New(engine)
	if err != nil {
		return err
	}
	c.Alone()
	c.Reads(strings.Split(inputs, ","))
	return transform.Serve(c, buildID(version))
}

// selfCheck checks the encoders at the lowest priority, and logs the result.
func (a *App) selfCheck(ctx context.Context) {
	if a.isSmall() { // another worker takes some 80 MB, which viewers may need
		a.log.Info("the encoders are not checked: the memory limit is small; doctor -quality checks them",
			"limit", a.memoryLimit())
		return
	}
	err := a.pool.SelfCheck(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.log.Warn("the encoders could not be checked; first responses are not corrected", "error", err)
		return
	}
	d := a.pool.Drift()
	for _, c := range d {
		a.metrics.QualityOffset(c.Coder, c.Kind(), c.Miss)
	}
	if d.Corrects() {
		a.log.Warn("encoders differ from those that the quality was fitted on; first answers are corrected", "quality", d.String())
		return
	}
	a.log.Info("the encoders are as expected")
}

// Versions returns the build, the kernel's sandbox features, and the versions of the image libraries, by name.
func Versions(version string) (build, sandbox string, libraries map[string]string, err error) {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return "", "", nil, err
	}
	return buildID(version), transform.KernelSandbox().String(), c.Versions(), nil
}
