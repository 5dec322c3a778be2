package links

import (
	"context"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// Origin fetches originals by their URLs. Implemented by origin.Client.
type Origin interface {
	Fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, error)
	Forget(source string)
}

// Fetcher is an Origin that also fetches originals by their ids, with the newest known link.
type Fetcher struct {
	Origin
	Links *Links // nil = no links are kept
}

// Fetch implements Origin.
func (f Fetcher) Fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, error) {
	link, err := f.Links.Live(ctx, source)
	if err != nil {
		return origin.Original{}, err
	}
	return f.Origin.Fetch(ctx, link, lim)
}

// Forget implements Origin. For an id it forgets what is known of the newest link on this instance.
func (f Fetcher) Forget(source string) {
	if id, ok := variant.OpaqueID(source); ok {
		if f.Links == nil {
			return
		}
		source, _ = f.Links.recent.Get(id)
	}
	f.Origin.Forget(source)
}

// Live returns the newest link of an opaque source; any other source is returned unchanged. A nil Links knows none.
func (l *Links) Live(ctx context.Context, source string) (string, error) {
	id, ok := variant.OpaqueID(source)
	switch {
	case !ok:
		return source, nil
	case l == nil:
		return "", fault.New(fault.SourceForbidden, "links.Live", "no links are kept here: links.keys is not set", nil)
	}
	return l.Newest(ctx, id)
}
