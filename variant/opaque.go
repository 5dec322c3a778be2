package variant

import "strings"

// opaque is the prefix of a Source that names its original by an id: "ref:" and 32 hexadecimal digits. The id is the
// SourceHash of the canonical source, so all links to one original have one id, whatever their expiring parameters.
const opaque = "ref:"

// OpaqueID returns the id of an opaque source; ok reports whether source is one.
func OpaqueID(source string) (id string, ok bool) {
	id, ok = strings.CutPrefix(source, opaque)
	if !ok || len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", false
	}
	return id, true
}

// Sources are the names of the original in a Ref: its source and, of a link that has one, the opaque one.
func (r Ref) Sources() []string {
	if r.identity == "" {
		return []string{r.Source}
	}
	return []string{r.Source, opaque + r.SourceHash()}
}

// Opaque returns the opaque source of a link from which the configuration strips parameters: "ref:" and an id; "" for
// every other source, whose URL lasts. shown is the link without its query, which may be shown.
func (p *Parser) Opaque(link string) (source, shown string) {
	ref, err := p.Ref(link, Spec{})
	if err != nil || ref.identity == "" {
		return "", ""
	}
	shown, _, _ = strings.Cut(ref.identity, "?")
	return opaque + ref.SourceHash(), shown
}
