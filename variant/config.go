package variant

import "github.com/goldcrest/goldcrest/invalid"

// Negotiation says which formats a URL without a format may get. It is the configuration section "negotiation".
type Negotiation struct {
	// Formats are the formats for URLs that name none, the preferred one first: of avif, jxl, webp and jpeg. A
	// format that is not listed is never chosen, whatever a client accepts; jpeg is always possible, listed or not.
	// Empty means jpeg only.
	Formats []string `yaml:"formats"`
	// Unknown is the format for clients that name no format ("*/*", "image/*" or no Accept header): jpeg or webp. Set
	// webp if all clients are Android apps. Empty means jpeg.
	Unknown string `yaml:"unknown"`
	// ClientHints lets clients say the width and dpr that a URL leaves open, by Sec-CH-Width and Sec-CH-DPR, or Width
	// and DPR. Their values are rounded up to few sizes.
	ClientHints bool `yaml:"client_hints"`
}

// Default is the negotiation of an empty configuration.
func Default() Negotiation {
	return Negotiation{Formats: []string{"avif", "webp", "jpeg"}, Unknown: "jpeg"}
}

// Validate reports the first unknown format, or one that cannot be negotiated.
func (n Negotiation) Validate() error {
	var bad invalid.Values
	for _, name := range n.Formats {
		f, ok := ParseFormat(name)
		bad.If(!ok || f == PNG || f == GIF, "negotiation.formats: %q is none of avif, jxl, webp, jpeg", name)
	}
	f, ok := ParseFormat(n.Unknown)
	bad.If(n.Unknown != "" && (!ok || f != JPEG && f != WebP),
		"negotiation.unknown: %q is neither jpeg nor webp", n.Unknown)
	return bad.Err()
}
