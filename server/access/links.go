package access

import (
	"context"

	"github.com/goldcrest/goldcrest/variant"
)

// Links stores the newest links of originals whose links expire, by the ids that replace them in URLs. Implemented by
// links.Links.
type Links interface {
	// Keep stores links as the newest ones, durably.
	Keep(ctx context.Context, links map[string]string) error
	// Live returns the newest link of an opaque source; any other source is returned unchanged.
	Live(ctx context.Context, source string) (string, error)
}

// Conceal is a source as responses show it. A link that expires is shown without its query, and added to links under
// its id.
func (r Rules) Conceal(source string, links map[string]string) string {
	if r.Links == nil {
		return source
	}
	concealed, shown := r.Parser.Opaque(source)
	if concealed == "" {
		return source
	}
	id, _ := variant.OpaqueID(concealed)
	links[id] = source
	return shown
}

// Live replaces an opaque source by its newest link, whose host decides who may ask for it. If every host is allowed,
// the ref is unchanged.
func (r Rules) Live(ctx context.Context, ref variant.Ref, bound bool) (variant.Ref, error) {
	if r.Links == nil || !bound {
		return ref, nil
	}
	var err error
	ref.Source, err = r.Links.Live(ctx, ref.Source)
	return ref, err
}
