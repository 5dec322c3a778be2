package signing

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Rights are the sources and presets that may be asked for. The zero value allows all.
type Rights struct{ sources, presets []string }

// NewRights reads the hosts of sources, each a host or "*." before one, and the names of presets. An empty list allows all.
func NewRights(sources, presets []string) (Rights, error) {
	r := Rights{presets: presets}
	for _, pattern := range sources {
		if !validPattern(pattern) {
			return Rights{}, fmt.Errorf("sources: %q is no host and no \"*.\" before one", pattern)
		}
		r.sources = append(r.sources, strings.ToLower(pattern))
	}
	for _, name := range presets {
		if name == "" {
			return Rights{}, errors.New("presets: a name is empty")
		}
	}
	return r, nil
}

// BoundToSources reports whether not every source may be asked for.
func (p Rights) BoundToSources() bool { return len(p.sources) > 0 }

// AllowsSource reports whether the host of the source's URL is among those that may be asked for, compared label by label.
func (p Rights) AllowsSource(source string) bool {
	if len(p.sources) == 0 {
		return true
	}
	u, err := url.Parse(source)
	if err != nil {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	for _, pattern := range p.sources {
		if below, ok := strings.CutPrefix(pattern, "*"); ok && len(host) > len(below) && strings.HasSuffix(host, below) || host == pattern {
			return true
		}
	}
	return false
}

// AllowsPreset reports whether the preset may be asked for. The name "" stands for options beside presets, which may not be where presets
// are listed.
func (p Rights) AllowsPreset(name string) bool {
	if len(p.presets) == 0 {
		return true
	}
	for _, allowed := range p.presets {
		if name == allowed {
			return true
		}
	}
	return false
}
