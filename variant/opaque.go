package variant

import "strings"

// opaque begins the Source of a Ref that names its original by an id: "ref:" and 32 hexadecimal digits. The id is the
// SourceHash of the canonical source, so that links to one original have one id, whatever parameters of them expire.
const opaque = "ref:"

// OpaqueID is the id of a source that is one; ok reports whether it is.
func OpaqueID(source string) (id string, ok bool) {
	id, ok = strings.CutPrefix(source, opaque)
	if !ok || len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", false
	}
	return id, true
}

// Sources are what the original may be called in a Ref: its source and, of a link that has one, the opaque one.
func (r Ref) Sources() []string {
	if r.identity == "" {
		return []string{r.Source}
	}
	return []string{r.Source, opaque + r.SourceHash()}
}

// Opaque is the source that stands for a link of which the configuration strips parameters: "ref:" and an id. It is ""
// for every other source, whose URL lasts. shown is the link without its query, which may be told.
func (p *Parser) Opaque(link string) (source, shown string) {
	ref, err := p.Ref(link, Spec{})
	if err != nil || ref.identity == "" {
		return "", ""
	}
	shown, _, _ = strings.Cut(ref.identity, "?")
	return opaque + ref.SourceHash(), shown
}

// Shown is a source as it may be told: a link that has an opaque source without its query, every other as it is.
func (p *Parser) Shown(source string) string {
	if _, shown := p.Opaque(source); shown != "" {
		return shown
	}
	return source
}

// splitOpaque reads what follows "ref/".
func splitOpaque(rest string) (source, extension string, err error) {
	id, extension, dotted := strings.Cut(rest, ".")
	if _, ok := OpaqueID(opaque + id); !ok || dotted && extension == "" {
		return "", "", badPath("what follows ref/ is not an id")
	}
	return opaque + id, extension, nil
}
