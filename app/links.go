package app

import (
	"context"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/links"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/server/access"
)

// openLinks opens the storage of links, if they are stored: in the bucket, shared by all instances that use it; else on
// the shared cluster; else in the directory.
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

// keepLinks stores the links for which responses have ids; nil if links appear in URLs.
func (a *App) keepLinks() access.Links {
	if !a.cfg.Links.On() { // not reloadable: URLs with ids need their links for ever
		return nil
	}
	return lateLinks{a}
}

// lateLinks gives access to an App's links, which are opened after its rules.
type lateLinks struct{ app *App }

// Keep implements access.Links.
func (l lateLinks) Keep(ctx context.Context, some map[string]string) error {
	return l.app.links.Keep(ctx, some)
}

// Live implements access.Links.
func (l lateLinks) Live(ctx context.Context, source string) (string, error) {
	return l.app.links.Live(ctx, source)
}
