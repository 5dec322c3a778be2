package variant

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// ParseSource checks the URL of an original and returns the one to fetch: see naming.Address. An invalid one is refused
// as bad_source.
func ParseSource(raw string) (string, error) {
	source, wrong := naming.Address(raw)
	if wrong != "" {
		return "", fault.New(fault.BadSource, "variant.ParseSource", wrong, nil)
	}
	return source, nil
}
