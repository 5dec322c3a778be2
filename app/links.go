package app

import (
	"context"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/links"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/server/access"
)

// openLinks opens what keeps links, if they are kept: the bucket, which all instances share that use it; else the
// cluster, where they share one; else the directory.
func (a *App) openLinks(store cache.Store) (err error) {
	if !a.cfg.Links.On() {
		return nil
	}
	kept := links.InStore(store)
	if a.cfg.Cache.Store.S3.Bucket == "" && a.cfg.Prewarm.Queue.NATS != "" {
		cluster, err := natsqueue.OpenLinks(a.cfg.Prewarm.Queue, a.log)
		if err != nil {
			return err
		}
		a.cluster, kept = cluster, cluster
	}
	a.links, err = links.New(a.cfg.Links, kept)
	return err
}

// keepLinks is what keeps links for the doors, in answers that hold them no more; nil where they stand in URLs.
func (a *App) keepLinks() access.Links {
	if !a.cfg.Links.On() { // Not reloaded: what was answered as an id needs them for ever.
		return nil
	}
	return lateLinks{a}
}

// lateLinks are the links of an App, which are opened after its rules.
type lateLinks struct{ app *App }

// Keep implements access.Links.
func (l lateLinks) Keep(ctx context.Context, some map[string]string) error {
	return l.app.links.Keep(ctx, some)
}

// Live implements access.Links.
func (l lateLinks) Live(ctx context.Context, source string) (string, error) {
	return l.app.links.Live(ctx, source)
}
