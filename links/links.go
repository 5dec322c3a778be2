// Package links stores, for originals whose links expire, the newest link under the id that replaces it in URLs. A link
// opens the original to anyone who reads it, so it is sealed in storage and used only for fetches.
package links

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/goldcrest/goldcrest/fault"
)

// ErrUnknown says that no link of an id is stored.
var ErrUnknown = errors.New("links: no link of this id is known")

// Store keeps a sealed link by its id, durably and for all instances that share originals. Put replaces an earlier one.
// An absent id is ErrUnknown; any other error means that the result is unknown. Safe for concurrent use.
type Store interface {
	Put(ctx context.Context, id string, sealed []byte) error
	Get(ctx context.Context, id string) ([]byte, error)
}

const (
	writers  = 32              // links of one call that are stored concurrently
	patience = 5 * time.Second // for one call of the store
)

// Links keeps links. Safe for concurrent use.
type Links struct {
	store  Store
	sealer sealer
	recent *lru.Cache[string, string] // by id: the links that this instance stored last
}

// New makes a Links; cfg must be On.
func New(cfg Config, store Store) (*Links, error) {
	s, err := cfg.sealer()
	if err != nil {
		return nil, err
	}
	recent, err := lru.New[string, string](recentLinks)
	return &Links{store: store, sealer: s, recent: recent}, err
}

// Keep stores links by id as the newest ones. When it returns without an error they are durable. Faults: overloaded if
// the store does not accept them all.
func (l *Links) Keep(ctx context.Context, links map[string]string) error {
	writing, ctx := errgroup.WithContext(ctx)
	writing.SetLimit(writers)
	for id, link := range links {
		if kept, _ := l.recent.Get(id); kept != link {
			writing.Go(func() error { return l.keep(ctx, id, link) })
		}
	}
	if err := writing.Wait(); err != nil {
		return unavailable("links.Keep", "the links of the sources could not be stored; try again", err)
	}
	return nil
}

func (l *Links) keep(ctx context.Context, id, link string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := l.store.Put(ctx, id, l.sealer.seal(id, link)); err != nil {
		return err
	}
	l.recent.Add(id, link)
	return nil
}

// Newest returns the newest link of an id. If the store does not respond, it is the newest that this instance stored.
// Faults: source_forbidden if no link is known, which a newer one repairs; overloaded.
func (l *Links) Newest(ctx context.Context, id string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sealed, err := l.store.Get(limited, id)
	if errors.Is(err, ErrUnknown) {
		return "", lost("no link to this original is known: post its unit again", err)
	}
	if err != nil {
		if link, ok := l.recent.Get(id); ok && ctx.Err() == nil {
			return link, nil
		}
		return "", unavailable("links.Newest", "the link to this original could not be read; try again", err)
	}
	link, ok := l.sealer.open(id, sealed)
	if !ok {
		return "", lost("the link to this original was sealed with another key: post its unit again", nil)
	}
	return link, nil
}

// lost is the fault of an original without a known link.
func lost(public string, err error) error {
	return fault.New(fault.SourceForbidden, "links.Newest", public, err)
}

// unavailable is a fault of the store.
func unavailable(op, public string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	f := fault.New(fault.Overloaded, op, public, err)
	f.RetryAfter = 5 * time.Second
	return f
}

// recentLinks is the number of links that this instance remembers: about 16 MiB if links are 1 KiB long.
const recentLinks = 16384
