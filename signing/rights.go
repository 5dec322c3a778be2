package signing

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/goldcrest/goldcrest/reach"
)

// Rights are the sources and presets that may be asked for. The zero value allows all.
type Rights struct {
	hosts   reach.Hosts
	presets []string
}

// NewRights reads the hosts of sources, each a host or "*." before one, and the names of presets. An empty list allows
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

// Hosts are the hosts that originals may come from: the source's own, and those that it redirects to.
func (p Rights) Hosts() reach.Hosts { return p.hosts }

// Within are the rights of those who may also have only what comes from these hosts.
func (p Rights) Within(hosts reach.Hosts) Rights {
	p.hosts = p.hosts.And(hosts)
	return p
}

// BoundToSources reports whether not every source may be asked for.
func (p Rights) BoundToSources() bool { return p.hosts != "" }

// AllowsSource reports whether the host of the source's URL, or its bucket, is among those that may be asked for. Hosts
// are compared label by label.
func (p Rights) AllowsSource(source string) bool {
	if p.hosts == "" {
		return true
	}
	u, err := url.Parse(source)
	return err == nil && p.hosts.Allows(reach.Place(u.Scheme, u.Hostname()))
}

// AllowsPreset reports whether the preset may be asked for. The name "" stands for options beside presets, which may
// not be where presets are listed.
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
