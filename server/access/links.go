package access

import (
	"context"

	"github.com/goldcrest/goldcrest/variant"
)

// Links keeps the newest links of originals whose links expire, by the ids that stand for them in URLs. Implemented by
// links.Links.
type Links interface {
	// Keep makes links the newest ones known, durably.
	Keep(ctx context.Context, links map[string]string) error
	// Live is the newest link of an opaque source; of any other it is the source itself.
	Live(ctx context.Context, source string) (string, error)
}

// Conceal is a source as answers tell it. A link that expires is told without its query, and put into links by its id.
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

// Live is a ref with the source whose host decides who may ask for it: of an opaque one the newest link. Where every
// host may be asked it is left as it is.
func (r Rules) Live(ctx context.Context, ref variant.Ref, bound bool) (variant.Ref, error) {
	if r.Links == nil || !bound {
		return ref, nil
	}
	var err error
	ref.Source, err = r.Links.Live(ctx, ref.Source)
	return ref, err
}
