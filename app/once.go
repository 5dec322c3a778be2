package app

import (
	"context"
	"errors"
	"io"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/variant"
)

// GetOnce makes one variant without a server, on a temporary store. It logs errors to w.
func GetOnce(ctx context.Context, version string, cfg config.Config, ref variant.Ref, w io.Writer) (answer pipeline.Answer, err error) {
	if err := cfg.Validate(); err != nil {
		return answer, err
	}
	if _, opaque := variant.OpaqueID(ref.Source); opaque {
		return answer, errors.New("only a running server has the link of an id: ask it by GET /v1/explain/{path}?run=1, or give the link")
	}
	cfg.Transform.Workers, cfg.Cache.Store.S3.Bucket = 1, "" // nothing is stored
	a := &App{version: version, cfg: cfg, log: newLog(w, cfg.Log, logLevel("error")), metrics: metrics.New(), oneStage: true}
	defer func() { err = errors.Join(err, a.Close(ctx)) }()
	a.durable = cache.NewMemory(64 << 20).Store()
	for _, open := range []func(context.Context) error{a.openOrigin, a.openWorkers, a.openPipeline} {
		if err := open(ctx); err != nil {
			return answer, err
		}
	}
	return a.pipeline.Get(ctx, ref)
}
