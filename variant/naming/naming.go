// Package naming resolves the names that URLs and Data Units use for originals: aliases, a base for names without a
// scheme, replacements by pattern. It defines what a source is, and which sources are equal. It is pure, so a name
// means the same for every caller.
package naming

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// Config configures the resolution of names.
type Config struct {
	// Aliases are short names of URL prefixes: with "shop: https://cdn.shop.example/img", shop:/a.jpg is
	// https://cdn.shop.example/img/a.jpg. A name consists of lower case letters, digits, "+", "-" and ".". Empty =
	// none.
	Aliases map[string]string `yaml:"aliases"`
	// BaseURL is prepended to every source without a scheme. Empty = such a source is refused.
	BaseURL string `yaml:"base_url"`
	// Replace changes prefixes of sources, in order, before aliases and base_url are applied. A source that a second
	// pass would change again is refused.
	Replace []Replacement `yaml:"replace"`
}

// Replacement replaces a prefix of sources.
type Replacement struct {
	// From is the prefix; a "*" in it matches any text without a slash.
	From string `yaml:"from"`
	// To replaces it; ${1} is what the first "*" matched.
	To string `yaml:"to"`
}

// Names resolves names. The zero value and nil have none. It is immutable.
type Names struct {
	aliases map[string]string // prefix, without a slash at its end
	base    string            // "" or ends inside or after a path
	replace []replacement
	begins  []string // prefixes of sources, in lower case
}

type replacement struct {
	from *regexp.Regexp
	to   string
}

var (
	aliasName = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	schemed   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	reserved  = []string{"http", "https", "s3", "gs", "local", "ref", "file", "data", "javascript", "blob"}
)

// New makes Names of a Config. schemes are those of configured sources other than http and https.
func New(cfg Config, schemes ...string) (*Names, error) {
	n := &Names{aliases: map[string]string{}}
	n.begins = slices.Clone(web)
	for _, scheme := range schemes {
		n.begins = append(n.begins, scheme+"://")
	}
	var errs []error
	for name, to := range cfg.Aliases {
		if !aliasName.MatchString(name) || slices.Contains(reserved, name) {
			errs = append(errs, fmt.Errorf("origin.aliases: %q cannot be an alias", name))
		}
		errs = append(errs, checkPlace("origin.aliases."+name, to))
		scheme, rest, _ := strings.Cut(to, "://")
		n.aliases[name] = scheme + "://" + strings.TrimRight(rest, "/")
		n.begins = append(n.begins, name+":/")
	}
	if n.base = cfg.BaseURL; n.base != "" {
		errs = append(errs, checkPlace("origin.base_url", n.base))
		if _, rest, _ := strings.Cut(n.base, "://"); !strings.Contains(rest, "/") {
			n.base += "/" // otherwise a name could continue the host name
		}
	}
	for i, r := range cfg.Replace {
		if r.From == "" || strings.Trim(r.From, "*") == "" {
			errs = append(errs, fmt.Errorf("origin.replace: entry %d: from is empty", i+1))
		}
		n.replace = append(n.replace, replacement{beginning(r.From), r.To})
		if literal, _, _ := strings.Cut(r.From, "*"); strings.Contains(literal, ":") {
			n.begins = append(n.begins, strings.ToLower(literal))
		}
	}
	return n, errors.Join(errs...)
}

// beginning matches a pattern at the start of a text.
func beginning(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, "([^/]*)"))
}

// checkPlace checks the prefix of a source.
func checkPlace(key, place string) error {
	u, err := url.Parse(place)
	if err != nil || !slices.Contains(reserved[:5], u.Scheme) || u.Host == "" && u.Scheme != "local" || u.User != nil ||
		strings.ContainsAny(place, "?#") {
		return fmt.Errorf("%s must begin like a source, as https://cdn.example.com/img, without user, query and fragment", key)
	}
	return nil
}

// IsAlias reports whether a text looks like a name with an alias, such as shop:/a.jpg, and not like a URL. Only the
// server's configuration knows which aliases exist.
func IsAlias(text string) bool {
	name, rest, ok := strings.Cut(text, ":/")
	return ok && !strings.HasPrefix(rest, "/") && aliasName.MatchString(name) && !slices.Contains(reserved, name)
}

// Source resolves a name. A source is returned unchanged.
func (n *Names) Source(name string) (string, error) {
	if n == nil {
		return name, nil
	}
	source := n.once(name)
	if source != name && n.once(source) != source {
		return "", fault.New(fault.BadSource, "naming.Source",
			"the replacements of this server would change the source again and again", nil)
	}
	return source, nil
}

func (n *Names) once(name string) string {
	for _, r := range n.replace {
		name = r.from.ReplaceAllString(name, r.to)
	}
	if alias, rest, ok := strings.Cut(name, ":/"); ok {
		if place, ok := n.aliases[alias]; ok {
			return place + "/" + strings.TrimLeft(rest, "/")
		}
	}
	if n.base != "" && name != "" && !schemed.MatchString(name) {
		if strings.HasSuffix(n.base, "/") {
			name = strings.TrimPrefix(name, "/")
		}
		return n.base + name
	}
	return name
}

// Begins reports whether a text begins as sources do here: with a scheme, an alias, or a prefix that is replaced.
func (n *Names) Begins(text string) bool {
	return slices.ContainsFunc(n.beginnings(), func(b string) bool {
		return len(text) >= len(b) && strings.EqualFold(text[:len(b)], b)
	})
}

// MayBegin is Begins by the first byte only, for callers that check many texts.
func (n *Names) MayBegin(first byte) bool {
	for _, b := range n.beginnings() {
		if b[0] == first|0x20 || b[0] == first {
			return true
		}
	}
	return false
}

// web are the prefixes of sources if nothing is configured.
var web = []string{"http://", "https://"}

func (n *Names) beginnings() []string {
	if n == nil {
		return web
	}
	return n.begins
}
