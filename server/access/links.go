package access

import (
	"context"

	"github.com/goldcrest/goldcrest/signing"
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

// Allowed checks a ref against the rights of the verified pair or of a token. The newest link of an opaque source
// decides who may ask for it.
func (r Rules) Allowed(ctx context.Context, key signing.Rights, ref variant.Ref, terms variant.Terms) error {
	var err error
	if ref.Source, err = r.Link(ctx, ref.Source, key); err != nil {
		return err
	}
	return Allowed(key, ref, terms)
}

// Link is the newest link of an opaque source, by which rights are checked. Any other source is returned unchanged, and
// so is every source where all may be asked for.
func (r Rules) Link(ctx context.Context, source string, rights signing.Rights) (string, error) {
	if r.Links == nil || !rights.BoundToSources() {
		return source, nil
	}
	return r.Links.Live(ctx, source)
}
