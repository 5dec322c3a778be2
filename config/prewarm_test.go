package config

import (
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/intake/sqs"
	"github.com/goldcrest/goldcrest/prewarm/compat"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/server/access"
)

// Roles, and what the prewarm section takes from others, are checked before anything is opened.
func TestValidatePrewarm(t *testing.T) {
	queue := sqs.Config{Queue: "https://sqs.example/1/events", Dead: "https://sqs.example/1/dead"}
	store := access.Token{Name: "store", Token: "a-token-of-an-object-store", Scopes: []string{access.ScopeEvents}}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error; "" = none
	}{
		{"defaults", func(*Config) {}, ""},
		{"one role", func(c *Config) { c.Roles = []string{RoleProxy} }, ""},
		{"no role", func(c *Config) { c.Roles = nil }, "roles: an instance without a role"},
		{"a role that does not exist", func(c *Config) { c.Roles = []string{"worker"} }, `roles: "worker" is neither`},
		{"a preset", func(c *Config) {
			c.Presets, c.Prewarm.Door.Presets = map[string]string{"lite": "w:9"}, []string{"lite"}
		}, ""},
		{"a preset that does not exist", func(c *Config) { c.Prewarm.Door.Presets = []string{"lite"} }, `prewarm.presets: there is no preset "lite"`},
		{"selectors", func(c *Config) { c.Prewarm.Door.Select = []string{"$.images[*].url", "/photo"} }, ""},
		{"a selector that cannot be read", func(c *Config) { c.Prewarm.Door.Select = []string{"$["} }, "prewarm.select"},
		{"a format", func(c *Config) { c.Prewarm.Door.Formats = []string{"gif"} }, "prewarm.formats"},
		{"no queue", func(c *Config) { c.Prewarm.Queue.Dir = "" }, "prewarm.queue"},
		{"callbacks without a secret", func(c *Config) { c.Prewarm.Door.Callbacks.Allow = []string{"b.example"} }, "prewarm.callbacks.secrets"},
		{"a quota", func(c *Config) { c.API.Tokens = []access.Token{{Name: "a", Quota: usage.Quota{ImagesADay: 1}}} }, ""},
		{"a quota that is forgotten within the day", func(c *Config) {
			c.API.Tokens, c.Prewarm.Door.Keep = []access.Token{{Name: "a", Quota: usage.Quota{ImagesADay: 1}}}, 23*time.Hour
		}, "api.tokens (a): quota.images_a_day needs a prewarm.keep of 24h"},
		{"a bucket", func(c *Config) {
			c.Prewarm.Buckets = bucketevents.Rules{{Bucket: "b", Source: "https://b.example/{key}"}}
		}, ""},
		{"a bucket with a preset that does not exist", func(c *Config) {
			rule := bucketevents.Rule{Bucket: "b", Source: "https://b.example/{key}", Variants: []string{"lite"}}
			c.Prewarm.Buckets = bucketevents.Rules{rule}
		}, `prewarm.buckets[0] (b): variants: there is no preset "lite"`},
		{"a queue of bucket events", func(c *Config) {
			c.API.Tokens = []access.Token{store}
			c.Prewarm.BucketQueues = []BucketQueue{{Token: "store", SQS: queue}}
		}, ""},
		{"a queue of bucket events without a token", func(c *Config) {
			other := store
			other.Scopes = []string{access.ScopePrewarm}
			c.API.Tokens = []access.Token{other}
			c.Prewarm.BucketQueues = []BucketQueue{{Token: "store", SQS: queue}}
		}, `prewarm.bucket_queues[0]: token: no token "store" in api.tokens has the scope events`},
		{"the store's own bucket", func(c *Config) {
			c.Cache.Store.S3.Bucket, c.Compat.Buckets = "pictures", []compat.Bucket{{Name: "pictures"}}
		}, "compat.buckets: pictures is the store's own bucket"},
	} {
		c := Default()
		tc.change(&c)
		err := c.validateRoles()
		if err == nil {
			err = c.validatePrewarm()
		}
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}
