package config

import (
	"fmt"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/origin/localsource"
	"github.com/goldcrest/goldcrest/origin/manners"
	"github.com/goldcrest/goldcrest/origin/s3source"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// Origin says which originals may be fetched, from where and how, and limits a fetch.
type Origin struct {
	origin.Config `yaml:",inline"`
	// Sources configures sources other than plain HTTP hosts, and requests to hosts.
	Sources Sources `yaml:",inline"`
}

// Sources configures sources other than plain HTTP hosts, and requests to hosts.
type Sources struct {
	// Hosts configures requests to some hosts: headers, credentials and certificates, proxy. Empty = no host has
	// settings of its own.
	Hosts []manners.Host `yaml:"hosts"`
	// S3 lists the buckets whose objects may be fetched as s3://bucket/key. Empty = none.
	S3 []s3source.Buckets `yaml:"s3"`
	// GS lists the buckets of Google Cloud Storage that may be fetched from as gs://bucket/key, through its S3
	// interface with HMAC keys. Empty = none.
	GS []s3source.Buckets `yaml:"gs"`
	// Local lists the directories whose files may be fetched as local:///path. Empty = none.
	Local []localsource.Root `yaml:"local"`
	// Naming configures aliases and other names of sources.
	Naming naming.Config `yaml:",inline"`
}

// Validate reports every invalid value.
func (o Origin) Validate() error {
	var bad invalid.Values
	for i, h := range o.Sources.Hosts {
		bad.Add(fmt.Sprintf("origin.hosts: entry %d", i+1), h.Validate())
	}
	_, err := o.Names()
	return bad.Err(o.Config.Validate(), err, localsource.Validate(o.Sources.Local),
		s3source.Validate("origin.s3", o.Sources.S3), s3source.Validate("origin.gs", s3source.WithGoogle(o.Sources.GS)))
}

// Names resolves the names of originals, and knows which schemes are configured.
func (o Origin) Names() (*naming.Names, error) {
	var schemes []string
	for scheme, entries := range map[string]int{"s3": len(o.Sources.S3), "gs": len(o.Sources.GS),
		"local": len(o.Sources.Local)} {
		if entries > 0 {
			schemes = append(schemes, scheme)
		}
	}
	return naming.New(o.Sources.Naming, schemes...)
}

// parser makes the parser of URLs without secrets.
func (c Config) parser() (*variant.Parser, error) {
	parser, err := variant.NewParser(c.Presets, c.OnlyPresets, c.Origin.Canonical...)
	if err != nil {
		return nil, fmt.Errorf("presets: %w", err)
	}
	names, err := c.Origin.Names()
	if err != nil {
		return nil, err
	}
	t := c.Transform
	parser, err = parser.Naming(names).Under(variant.Policy{
		NoWatermark: t.Watermark == "", NoMetadata: !t.KeepMetadata, NoRaw: !t.Raw,
		Mark: t.Mark.Fingerprint(), ClientHints: c.Negotiation.ClientHints,
	})
	if err != nil {
		return nil, fmt.Errorf("presets: %w", err)
	}
	return parser, nil
}
