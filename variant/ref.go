package variant

import "time"

// Ref names a variant: the URL of an original and how to make the variant of it. It is comparable.
type Ref struct {
	Source string // the source's URL as it is to be fetched
	Spec   Spec
}

// Terms are the parts of a URL that govern the answer and never the Key.
type Terms struct {
	Expires    time.Time // zero = never
	Filename   string    // base name for Content-Disposition; "" = none
	Attachment bool
	CacheTags  []string // ct: tags for CDNs
	Presets    []string // the names of the presets used, for the key's allow-list
}
