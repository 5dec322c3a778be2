// Package naming turns the names that URLs and Data Units give to originals into their sources: aliases, a base for
// names without a scheme, replacements by pattern. It says what a source is, and which of them are the same. It is pure,
// so a name means the same at every door.
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

// Config says what names stand for.
type Config struct {
	// Aliases are short names of places: with "shop: https://cdn.shop.example/img", shop:/a.jpg is
	// https://cdn.shop.example/img/a.jpg. A name is of small letters, digits, "+", "-" and ".". Empty = none.
	Aliases map[string]string `yaml:"aliases"`
	// BaseURL is put before every source that names no scheme. Empty = such a source is refused.
	BaseURL string `yaml:"base_url"`
	// Replace changes the beginning of sources, in order, before aliases and base_url are looked at. A source that a
	// second pass would change again is refused.
	Replace []Replacement `yaml:"replace"`
}

// Replacement changes sources that begin in one way.
type Replacement struct {
	// From is the beginning of a source; a "*" in it stands for any text without a slash.
	From string `yaml:"from"`
	// To stands in its place; ${1} is what the first "*" stood for.
	To string `yaml:"to"`
}

// Names knows what names stand for. The zero value and nil know none. It is immutable.
type Names struct {
	aliases map[string]string // place, without a slash at its end
	base    string            // "" or ends in or behind a path
	replace []replacement
	begins  []string // what sources begin with, in small letters
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

// New reads a Config. schemes are those of configured sources beside http and https.
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
			n.base += "/" // Else a name could go on with the host's.
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

// beginning matches a pattern at the beginning of a text.
func beginning(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, "([^/]*)"))
}

// checkPlace takes the beginning of a source.
func checkPlace(key, place string) error {
	u, err := url.Parse(place)
	if err != nil || !slices.Contains(reserved[:5], u.Scheme) || u.Host == "" && u.Scheme != "local" || u.User != nil ||
		strings.ContainsAny(place, "?#") {
		return fmt.Errorf("%s must begin like a source, as https://cdn.example.com/img, and hold no user, query or fragment", key)
	}
	return nil
}

// IsAlias reports whether a text looks like a name by an alias, such as shop:/a.jpg, and not like a URL. Which aliases
// there are is for the server's configuration to say.
func IsAlias(text string) bool {
	name, rest, ok := strings.Cut(text, ":/")
	return ok && !strings.HasPrefix(rest, "/") && aliasName.MatchString(name) && !slices.Contains(reserved, name)
}

// Source is what a name stands for. A source stands for itself.
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

// Begins reports whether a text begins as sources do here: with a scheme, an alias, or what is replaced.
func (n *Names) Begins(text string) bool {
	for _, b := range n.beginnings() {
		if len(text) >= len(b) && strings.EqualFold(text[:len(b)], b) {
			return true
		}
	}
	return false
}

// MayBegin is Begins by the first byte alone, for those who look at many texts.
func (n *Names) MayBegin(first byte) bool {
	for _, b := range n.beginnings() {
		if b[0] == first|0x20 || b[0] == first {
			return true
		}
	}
	return false
}

// web is what sources begin with where nothing is configured.
var web = []string{"http://", "https://"}

func (n *Names) beginnings() []string {
	if n == nil {
		return web
	}
	return n.begins
}
