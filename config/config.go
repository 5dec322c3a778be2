// Package config composes the packages' Config structs; it reads file and environment, and validates.
package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/dirstore"
	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/intake/sqs"
	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/links"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/compat"
	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/report"
	"github.com/goldcrest/goldcrest/secretfile"
	"github.com/goldcrest/goldcrest/server"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/telemetry"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/variant"
)

// Config is the whole configuration: a section for each part that has settings.
type Config struct {
	// Roles are the roles of this instance: proxy serves images, prewarm works on Data Units. An instance that is only
	// a proxy accepts Data Units for others to work on, if they share a queue with prewarm.queue.nats.
	Roles []string `yaml:"roles"`
	// Server is the two listeners.
	Server server.Config `yaml:"server"`
	// API configures the callers of the private listener's API.
	API access.API `yaml:"api"`
	// Signing has the keys that sign URLs.
	Signing signing.Config `yaml:"signing"`
	// Origin says which originals may be fetched, from where and how, and limits a fetch.
	Origin Origin `yaml:"origin"`
	// Links configures the storage of links that expire, so that they do not appear in URLs.
	Links links.Config `yaml:"links"`
	// Transform configures the worker processes and the limits of a picture.
	Transform transform.Config `yaml:"transform"`
	// Quality has the targets of the automatic quality, for URLs without a q, and says which variants are worth a
	// slower encoder.
	Quality Quality `yaml:"quality"`
	// Negotiation chooses a format for URLs that name none.
	Negotiation variant.Negotiation `yaml:"negotiation"`
	// Cache configures how variants are stored and how long responses live.
	Cache Cache `yaml:"cache"`
	// Memory limits the memory of server and workers together.
	Memory pressure.Config `yaml:"memory"`
	// Prewarm configures the making of variants in advance.
	Prewarm Prewarm `yaml:"prewarm"`
	// Intakes are your own queues from which Data Units are consumed, and to which verdicts are published. Empty =
	// none.
	Intakes []intake.Config `yaml:"intakes"`
	// Compat configures the predecessor's call.
	Compat compat.Config `yaml:"compat"`
	// Presets are named options for URLs: a name and its options. Empty = none.
	Presets map[string]string `yaml:"presets"`
	// OnlyPresets refuses every URL whose options are not presets.
	OnlyPresets bool `yaml:"only_presets"`
	// Watch configures what operators get to see.
	Watch `yaml:",inline"`

	file string // the file that it was read from, if that contains secrets
}

// Watch configures what operators get to see.
type Watch struct {
	// Log configures the log.
	Log Log `yaml:"log"`
	// Metrics configures the export of metrics, besides /metrics on the private listener.
	Metrics telemetry.Metrics `yaml:"metrics"`
	// Tracing configures the export of traces.
	Tracing telemetry.Tracing `yaml:"tracing"`
	// Reports configures the reports of unexpected failures.
	Reports report.Config `yaml:"reports"`
}

// OTLP says what is sent to OpenTelemetry collectors.
func (w Watch) OTLP() telemetry.Config {
	return telemetry.Config{Tracing: w.Tracing, Metrics: w.Metrics, Logs: w.Log.OTLP}
}

// Quality has the targets of the automatic quality, for URLs without a q, and says which variants are worth a slower
// encoder.
type Quality struct {
	// Targets are the target scores.
	Targets transform.Quality `yaml:",inline"`
	// Heat says which variants are worth a slower encoder.
	Heat heat.Config `yaml:",inline"`
}

// Cache configures how variants are stored and how long responses live.
type Cache struct {
	// Memory is the memory tier.
	Memory cache.Config `yaml:",inline"`
	// TTL is the age at which an entry is made again, or extended if its origin answers by ETag or Last-Modified that
	// the original is unchanged. 0 = never.
	TTL time.Duration `yaml:"ttl"`
	// Revalidate is how long after ttl an entry is still served at once and made again in the background. 0 = not at
	// all.
	Revalidate time.Duration `yaml:"revalidate"`
	// MaxAge is the max-age of a final response.
	MaxAge time.Duration `yaml:"max_age"`
	// FirstMaxAge is the max-age of a response that a better one will replace.
	FirstMaxAge time.Duration `yaml:"first_max_age"`
	// SWR is the stale-while-revalidate of a response. 0 = none.
	SWR time.Duration `yaml:"swr"`
	// SIE is the stale-if-error of a response, and how long after ttl an entry is still served when its origin fails. 0
	// = none.
	SIE time.Duration `yaml:"sie"`
	// HonourOrigin lets the origin's Cache-Control shorten the lifetime of an entry and of its responses.
	HonourOrigin bool `yaml:"honour_origin"`
	// Masters is the longer side, in pixels, of the master that is stored for each original besides its variants. New
	// variants of up to three quarters of that size are made from it, without the origin, also when the source's URL
	// has expired or its original is gone. At least 512. 0 = masters are neither stored nor used.
	Masters int `yaml:"masters"`
	// SealKey seals the entries of the store, so that nothing is served that another writer put there: entries with
	// another seal, or none, are made again. The first key seals, the others are still accepted: to rotate, add the new
	// key after the old one on all instances, then swap them, then remove the old one. All instances of a store need
	// the same keys. Empty means a plain checksum.
	SealKey []secretfile.Key `yaml:"seal_key"`
	// Store is the durable tier: a bucket if one is named, else a directory.
	Store Store `yaml:"store"`
}

// Store is the durable tier of the cache.
type Store struct {
	// Dir is the directory store.
	Dir dirstore.Config `yaml:",inline"`
	// Tier says how the cache uses the store.
	Tier cache.StoreConfig `yaml:",inline"`
	// S3 is the bucket; if one is named, it is the store instead of the directory.
	S3 s3store.Config `yaml:"s3"`
}

// Prewarm configures the making of variants in advance.
type Prewarm struct {
	// Door configures what is made of Data Units, and how.
	Door prewarm.Config `yaml:",inline"`
	// Queue is where accepted Data Units wait.
	Queue natsqueue.Config `yaml:"queue"`
	// Buckets are rules for the events that object stores send to POST /v1/events/s3: which objects are prewarmed when
	// they are written. Empty = none.
	Buckets bucketevents.Rules `yaml:"buckets"`
	// BucketQueues are SQS queues with the same events. Empty = none.
	BucketQueues []BucketQueue `yaml:"bucket_queues"`
}

// BucketQueue is an SQS queue with an object store's events.
type BucketQueue struct {
	// Token is the name of the token in api.tokens whose rights the messages have. It needs the scope events.
	Token string `yaml:"token"`
	// SQS is the queue.
	SQS sqs.Config `yaml:",inline"`
}

// validate reports every invalid value.
func (q BucketQueue) validate(api access.API) error {
	var bad invalid.Values
	bad.If(!api.Has(q.Token, access.ScopeEvents),
		"token: no token %q in api.tokens has the scope %s", q.Token, access.ScopeEvents)
	return bad.Err(q.SQS.Validate())
}

// The roles of an instance.
const (
	RoleProxy   = "proxy"
	RolePrewarm = "prewarm"
)

// Log configures the log.
type Log struct {
	// Level is the lowest level that is logged: debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is json or text.
	Format string `yaml:"format"`
	// OTLP is the collector that log lines are sent to by OTLP over HTTP, besides stderr; the default path is /v1/logs.
	// Headers for it are read from OTEL_EXPORTER_OTLP_HEADERS. Empty = they go only to stderr.
	OTLP string `yaml:"otlp"`
}

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Roles: []string{RoleProxy, RolePrewarm}, Prewarm: Prewarm{Door: prewarm.Default(), Queue: natsqueue.Default()},
		Server: server.Default(), API: access.DefaultAPI(), Signing: signing.Default(),
		Origin: Origin{Config: origin.Default()}, Transform: transform.Default(),
		Quality: Quality{transform.DefaultQuality(), heat.Default()}, Negotiation: variant.Default(),
		Cache: Cache{
			Memory: cache.Default(), MaxAge: 720 * time.Hour, FirstMaxAge: 5 * time.Minute, SWR: time.Hour, SIE: 24 * time.Hour,
			Store: Store{Dir: dirstore.Default(), Tier: cache.DefaultStore(), S3: s3store.Default()},
		},
		Memory: pressure.Default(),
		Watch: Watch{
			Log: Log{Level: "info", Format: "json"}, Metrics: telemetry.DefaultMetrics(), Tracing: telemetry.DefaultTracing(),
			Reports: report.Default(),
		},
	}
}

// Validate reports every invalid value with the path of its key.
func (c Config) Validate() error {
	_, err := c.parser()
	return errors.Join(c.validateRoles(), c.validatePrewarm(), c.validateIntakes(), c.Server.Validate(), c.validateUnsigned(), c.API.Validate(), c.Signing.Validate(), c.Origin.Validate(), c.Transform.Validate(),
		c.Links.Validate(), c.Quality.Targets.Validate(), c.Quality.Heat.Validate(), c.Negotiation.Validate(), c.Cache.Validate(), c.Memory.Validate(), err, c.Log.Validate(), c.OTLP().Validate(),
		c.Reports.Validate())
}

// NewParser makes the parser of URLs. It reads the key file of encrypted sources, if there is one.
func (c Config) NewParser() (*variant.Parser, error) {
	p, err := c.parser()
	if err != nil {
		return nil, err
	}
	sources, err := c.Signing.SourceCipher()
	if err != nil || sources == nil {
		return p, err
	}
	return p.WithDecrypt(sources.Decrypt), nil
}

// validateUnsigned refuses to let anybody in where anybody can knock.
func (c Config) validateUnsigned() error {
	if !c.Signing.Unsigned || c.Server.OnLoopback() {
		return nil
	}
	return errors.New("signing.unsigned: is for development: server.listen must be a loopback address, such as 127.0.0.1:8080")
}

func (c Config) validateRoles() error {
	var bad invalid.Values
	for _, r := range c.Roles {
		bad.If(r != RoleProxy && r != RolePrewarm, "roles: %q is neither %s nor %s", r, RoleProxy, RolePrewarm)
	}
	bad.If(len(c.Roles) == 0, "roles: an instance without a role would do nothing")
	return bad.Err()
}

// Is reports whether the instance has a role.
func (c Config) Is(role string) bool { return slices.Contains(c.Roles, role) }

// validatePrewarm checks the section, and what it uses of others.
func (c Config) validatePrewarm() error {
	p := c.Prewarm
	var bad invalid.Values
	for _, name := range p.Door.Presets {
		bad.If(!c.hasPreset(name), "prewarm.presets: there is no preset %q in presets", name)
	}
	for i, q := range p.BucketQueues {
		bad.Add(fmt.Sprintf("prewarm.bucket_queues[%d]", i), q.validate(c.API))
	}
	for _, text := range p.Door.Select {
		_, err := unit.ParseSelector(text)
		bad.Add("prewarm.select", err)
	}
	for _, t := range c.API.Tokens {
		bad.If(t.Quota.ImagesADay > 0 && p.Door.Keep < usage.LeastKeep, "api.tokens (%s): quota.images_a_day needs "+
			"a prewarm.keep of %v at least: what was used is kept for as long", t.Name, usage.LeastKeep)
	}
	for _, b := range c.Compat.Buckets {
		bad.If(b.Name == c.Cache.Store.S3.Bucket, "compat.buckets: %s is the store's own bucket", b.Name)
	}
	return bad.Err(p.Door.Validate(), p.Queue.Validate(), c.Compat.Validate(), p.Buckets.Validate(c.hasPreset))
}

func (c Config) hasPreset(name string) bool {
	_, ok := c.Presets[name]
	return ok
}

// Validate reports every invalid value.
func (c Cache) Validate() error {
	var bad invalid.Values
	bad.If(c.MaxAge < time.Second, "cache.max_age: %s is less than a second", formatDuration(c.MaxAge))
	bad.If(c.Masters != 0 && (c.Masters < 512 || c.Masters > 8192),
		"cache.masters: %d is neither 0 nor between 512 and 8192", c.Masters)
	bad.If(c.Revalidate > 0 && c.TTL == 0,
		"cache.revalidate: has no meaning while cache.ttl is 0, which keeps entries for ever")
	for i, k := range c.SealKey {
		bad.Add(fmt.Sprintf("cache.seal_key[%d]", i), k.Validate())
	}
	return bad.Err(c.Memory.Validate(), c.Store.Dir.Validate(), c.Store.Tier.Validate(), c.Store.S3.Validate())
}

// Seal reads the keys of cache.seal_key.
func (c Cache) Seal() (cache.Seal, error) {
	keys := make([][]byte, len(c.SealKey))
	for i, k := range c.SealKey {
		key, err := k.Read()
		if err != nil {
			return cache.Seal{}, fmt.Errorf("cache.seal_key[%d]: %w", i, err)
		}
		keys[i] = []byte(key)
	}
	seal, err := cache.NewSeal(keys...)
	if err != nil {
		return cache.Seal{}, fmt.Errorf("cache.seal_key: %w", err)
	}
	return seal, nil
}

// Validate reports an unknown word.
func (l Log) Validate() error {
	var bad invalid.Values
	bad.If(!slices.Contains([]string{"debug", "info", "warn", "error"}, l.Level),
		"log.level: %q is none of debug, info, warn, error", l.Level)
	bad.If(l.Format != "json" && l.Format != "text", "log.format: %q is neither json nor text", l.Format)
	return bad.Err()
}

// Print writes the effective configuration as YAML that Load reads, each secret as ***.
func (c Config) Print(w io.Writer) error { return write(w, reflect.ValueOf(&c).Elem()) }
