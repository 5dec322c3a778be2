package signing

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/goldcrest/goldcrest/reach"
)

// Rights are the sources and presets that may be asked for. The zero value allows all.
type Rights struct {
	hosts   reach.Hosts
	presets []string
}

// NewRights parses the hosts of sources, each a host or "*." and a host, and the names of presets. An empty list allows
// all.
func NewRights(sources, presets []string) (Rights, error) {
	hosts, err := reach.Of(sources)
	if err != nil {
		return Rights{}, fmt.Errorf("sources: %w", err)
	}
	for _, name := range presets {
		if name == "" {
			return Rights{}, errors.New("presets: a name is empty")
		}
	}
	return Rights{hosts, presets}, nil
}

// Hosts returns the hosts that originals may come from: the source's own, and those of redirects.
func (p Rights) Hosts() reach.Hosts { return p.hosts }

// Within returns the rights limited to these hosts as well.
func (p Rights) Within(hosts reach.Hosts) Rights {
	p.hosts = p.hosts.And(hosts)
	return p
}

// BoundToSources reports whether sources are limited.
func (p Rights) BoundToSources() bool { return p.hosts != "" }

// AllowsSource reports whether the host of the source's URL, or its bucket, is allowed. Hosts are compared label by
// label.
func (p Rights) AllowsSource(source string) bool {
	if p.hosts == "" {
		return true
	}
	u, err := url.Parse(source)
	return err == nil && p.hosts.Allows(reach.Place(u.Scheme, u.Hostname()))
}

// AllowsPreset reports whether the preset is allowed. The name "" stands for options outside presets, which are not
// allowed if presets are listed.
func (p Rights) AllowsPreset(name string) bool {
	return len(p.presets) == 0 || slices.Contains(p.presets, name)
}
